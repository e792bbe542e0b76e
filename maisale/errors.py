"""Every failure that a person can meet. The text of an error is shown to people as it is: what happened, which value, what to do."""

from uuid import uuid4


def incident() -> str:
    """What an answer and the log both name, so that one finds the other: nobody outside is told more of a fault of our own."""
    return uuid4().hex[:8]


class MaiSaleError(Exception):
    """A failure with words for the person who meets it."""

    status = 500  # the HTTP status that tells the same to a program
    retry_after_s: float | None = None  # when trying again may help, in seconds


class BadInput(MaiSaleError):
    """What was sent cannot be taken as it is."""

    status = 422


class NotSignedIn(MaiSaleError):
    """No valid key or session came with the request."""

    status = 401


class NotAllowed(MaiSaleError):
    """The key is valid and may not do this."""

    status = 403


class NotFound(MaiSaleError):
    """Nothing with this id exists for this person. Another person's things look the same as missing ones."""

    status = 404


class Busy(MaiSaleError):
    """Too much is waiting in this conversation already; nothing was stored."""

    status = 409


class TooLarge(MaiSaleError):
    """More bytes came than are taken; nothing was stored."""

    status = 413


class Overloaded(MaiSaleError):
    """It cannot be served in time; nothing was stored."""

    status = 503
    retry_after_s = 2.0


class TooOften(MaiSaleError):
    """One person, or one address, asks faster than is allowed; nothing was stored."""

    status = 429

    def __init__(self, words: str, retry_after_s: float):
        super().__init__(words)
        self.retry_after_s = retry_after_s


class QuotaSpent(MaiSaleError):
    """This person's tokens of the day are spent; nothing was stored. per_day: tokens."""

    status = 429

    def __init__(self, words: str, retry_after_s: float, per_day: int = 0):
        super().__init__(words)
        self.retry_after_s, self.per_day = retry_after_s, per_day


class Unreadable(MaiSaleError):
    """A file whose text cannot be had. Permanent: trying again changes nothing."""

    status = 422


class Misconfigured(MaiSaleError):
    """A setting, a folder or a second process keeps the program from starting."""


class Broken(MaiSaleError):
    """A fault of our own. Its words name an incident, and nothing of the inside."""


class StorageFailed(MaiSaleError):
    """The database refused a write (disk full, folder not writable); nothing of it was stored."""

    status = 507


class ModelUnavailable(MaiSaleError):
    """The model server is away: no connection, 503, model missing. Passing: no attempt counts."""

    status = 503


class ModelFailed(MaiSaleError):
    """The model server answered, and the answer is wrong or is an error."""

    status = 502
    positions: tuple[int, ...] = ()  # of the texts that no vector could be had for, when known


class IndexUnavailable(MaiSaleError):
    """The vector index cannot be reached in time, or is not open."""

    status = 503


class RedisUnavailable(MaiSaleError):
    """Redis cannot be reached in time. What it is for is done without it meanwhile."""

    status = 503


class ReplyLost(MaiSaleError):
    """An answer is not this process's any more: another one goes on with it, or it was deleted. Nothing more of it is stored."""

    status = 409
