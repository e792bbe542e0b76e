"""People at the page; a module that needs others of the same name makes its own."""

import pytest
from signed_in import Browser, person

from maisale.access import people


@pytest.fixture
def root(services):
    return Browser(services, people.make_first_admin(services.db, services.settings))


@pytest.fixture
def lan(services):
    """Admin of the team of Linh."""
    return Browser(services, person(services, "Mai Water", "Lan", "tenant_admin"))


@pytest.fixture
def linh(services):
    return Browser(services, person(services, "Mai Water", "Linh"))


@pytest.fixture
def hoa(services):
    return Browser(services, person(services, "Other", "Hoa"))
