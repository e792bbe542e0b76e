"""Why a document failed, or stays as it is, in Vietnamese. Causes are stored as the worker said them, in English; one that is not known here stays so."""

from __future__ import annotations

import re

_AGAIN = r" (?:and|or) add it again\."
_VI = (
    (r"(.+) is not text: it holds binary data\. Was it renamed\? Give it the ending of its kind, or save it as text" + _AGAIN,
     r"\1 không phải văn bản mà chứa dữ liệu nhị phân. Hãy đặt lại đúng đuôi file, hoặc lưu thành văn bản rồi thêm lại."),
    (r"(.+) cannot be opened \((.+)\)\. Check its permissions\.", r"Không mở được \1 (\2). Hãy xem lại quyền truy cập."),
    (r"(.+) was added by somebody else\. Ask that person or an admin\.", r"\1 do người khác thêm vào. Hãy hỏi người đó hoặc quản trị viên."),
    (r"(.+) is empty\. Save it with its contents" + _AGAIN, r"\1 trống. Hãy lưu lại với nội dung rồi thêm lại."),
    (r"(.+) holds no text\. Save it with its contents" + _AGAIN, r"\1 không có chữ nào. Hãy lưu lại với nội dung rồi thêm lại."),
    (r"(.+) has (.+) MB; (.+) MB is the most\. Split it, or raise UPLOAD_MB\.", r"\1 có \2 MB; tối đa là \3 MB. Hãy tách nhỏ, hoặc tăng UPLOAD_MB."),
    (r"(.+) has (.+) pages; (.+) is the most\. Split it and add the parts\.", r"\1 có \2 trang; tối đa là \3. Hãy tách ra và thêm từng phần."),
    (r"The file of (.+) is gone from the server\. Add it again\.", r"File của \1 không còn trên máy chủ. Hãy thêm lại."),
    (r"(.+) could not be read within (.+) s\. Split it, or save it in a simpler form, and add it again\.",
     r"Không đọc xong \1 trong \2 giây. Hãy tách nhỏ hoặc lưu ở dạng đơn giản hơn rồi thêm lại."),
    (r"(.+) needs more memory than it may, or broke its reader\. Split it, or save it in another form\.",
     r"\1 cần quá nhiều bộ nhớ hoặc làm hỏng bộ đọc. Hãy tách nhỏ, hoặc lưu ở dạng khác."),
    (r"(.+) is nested too deeply or is too large to be read\. Split it and add the parts\.", r"\1 lồng quá sâu hoặc quá lớn. Hãy tách ra và thêm từng phần."),
    (r"(.+) is of a kind that cannot be read\. Save it as (.+)" + _AGAIN, r"\1 thuộc loại không đọc được. Hãy lưu thành \2 rồi thêm lại."),
    (r"(.+) is of an unknown kind \((.+)\)\. Mai-Sale reads (.+)\.", r"\1 thuộc loại không rõ (\2). Mai-Sale đọc được \3."),
    (r"(.+) is cut off or is not a PDF: its end is missing\. Download or export it again\.",
     r"\1 bị cắt cụt hoặc không phải PDF: thiếu phần cuối. Hãy tải hoặc xuất lại."),
    (r"(.+) is protected with a password\. Save it without one" + _AGAIN, r"\1 có mật khẩu. Hãy lưu không mật khẩu rồi thêm lại."),
    (r"(.+) is damaged and cannot be read as a PDF\. Download or export it again\.", r"\1 bị hỏng, không đọc được như PDF. Hãy tải hoặc xuất lại."),
    (r"(.+) has (.+) and no text: it looks like a scan\. Run text recognition \(OCR\) on it" + _AGAIN,
     r"\1 không có chữ, có vẻ là bản quét. Hãy chạy nhận dạng chữ (OCR) rồi thêm lại."),
    (r"(.+) does not say which letters it shows \(its fonts lack them\)\. Export it anew, or run text recognition \(OCR\) on it\.",
     r"\1 không cho biết chữ nào đang hiện (phông chữ thiếu thông tin). Hãy xuất lại, hoặc chạy nhận dạng chữ (OCR)."),
    (r"(.+) is protected with a password or of an old kind\. Save it without a password as (.+)" + _AGAIN,
     r"\1 có mật khẩu hoặc thuộc loại cũ. Hãy lưu không mật khẩu thành \2 rồi thêm lại."),
    (r"(.+) unpacks to (.+) MB, which is too much to be read\. Split it and add the parts\.",
     r"\1 giải nén ra \2 MB, quá nhiều để đọc. Hãy tách ra và thêm từng phần."),
    (r"(.+) is damaged or cut off \((.+)\)\. Download or export it again\.", r"\1 bị hỏng hoặc bị cắt cụt (\2). Hãy tải hoặc xuất lại."),
    (r"(.+) is damaged and cannot be read as (.+?)(?: \(\w+\))?\. Open it, save it anew" + _AGAIN,
     r"\1 bị hỏng, không đọc được như \2. Hãy mở ra, lưu lại rồi thêm lại."),
    (r"(.+) cannot be read(?:: it is not as files of its kind are| \(\w+\))\. Open it, save it anew" + _AGAIN,
     r"Không đọc được \1: nội dung không đúng như file loại này. Hãy mở ra, lưu lại rồi thêm lại."),
    (r"(.+) holds only pictures or charts, which are not read\. Write what they say as text" + _AGAIN,
     r"\1 chỉ có hình hoặc biểu đồ, là những thứ không được đọc. Hãy viết nội dung của chúng thành chữ rồi thêm lại."),
    (r"(.+) is not an e-mail: it has no sender and no subject\. Save the e-mail again as EML\.",
     r"\1 không phải thư điện tử: không có người gửi và tiêu đề. Hãy lưu lại thư thành EML."),
    (r"(.+) cannot be read as a table \((.+)\)\. Open it in a spreadsheet program, save it as CSV" + _AGAIN,
     r"Không đọc được \1 như một bảng (\2). Hãy mở bằng phần mềm bảng tính, lưu thành CSV rồi thêm lại."),
    (r"(.+) is not valid JSON \((.+)\)\. Check it where it was made" + _AGAIN, r"\1 không phải JSON đúng (\2). Hãy xem lại ở nơi tạo ra nó rồi thêm lại."),
    (r"(.+) is an Outlook file \(MSG\) under another name\. Save the e-mail as EML" + _AGAIN,
     r"\1 là file Outlook (MSG) mang tên khác. Hãy lưu thư thành EML rồi thêm lại."),
    (r"(.+) is an encrypted e-mail\. Save its text without encryption" + _AGAIN, r"\1 là thư đã mã hoá. Hãy lưu nội dung không mã hoá rồi thêm lại."),
    (r"(.+) is encrypted: it is protected with a password or a certificate\. Save it without" + _AGAIN,
     r"\1 đã mã hoá: có mật khẩu hoặc chứng thư bảo vệ. Hãy lưu bản không mã hoá rồi thêm lại."),
    (r"(.+) is written with an old Vietnamese font \((.+)\), not in Unicode\. Convert it to Unicode \(UniKey does\)" + _AGAIN,
     r"\1 viết bằng phông chữ Việt cũ (\2), không phải Unicode. Hãy chuyển sang Unicode (dùng UniKey) rồi thêm lại."),
    (r"(.+) holds more than (.+) MB of text\. Split it and add the parts\.", r"\1 chứa hơn \2 MB chữ. Hãy tách ra và thêm từng phần."),
    (r"(.+) is a file of an old kind under a new name, or protected\. Save it as (.+) without a password" + _AGAIN,
     r"\1 là file loại cũ mang tên mới, hoặc có mật khẩu. Hãy lưu thành \2 không mật khẩu rồi thêm lại."),
    (r"Passage (.+) is found by words only: the embedding model gives no vector for the text\.",
     r"Đoạn \1 chỉ tìm được theo từ: mô hình nhúng không cho vectơ của đoạn này."),
    (r"(.+) passages, the first of them passage (.+), are found by words only: the embedding model gives no vector for the text\.",
     r"\1 đoạn, đầu tiên là đoạn \2, chỉ tìm được theo từ: mô hình nhúng không cho vectơ của chúng."),
    (r"(?:It|A part of it) is found by words only: the embedding model gives no vector for the text\.",
     r"Chỉ tìm được theo từ: mô hình nhúng không cho vectơ."),
    (r"Its passages were read, and a search for their own words does not find them\. The first is passage (.+)\."
     r" `rebuild-index` makes the index of words anew\.",
     r"Đã đọc các đoạn, nhưng tìm theo chính từ của chúng không thấy. Đầu tiên là đoạn \1. `rebuild-index` dựng lại chỉ mục từ."),
    (r"The vector index took (.+) passages and does not hold (.+) of them\.", r"Chỉ mục vectơ đã nhận \1 đoạn nhưng không giữ \2 đoạn trong số đó."),
    (r"The search by meaning does not find passage (.+) again\. `rebuild-index` makes the index anew\.",
     r"Tìm theo nghĩa không thấy lại đoạn \1. `rebuild-index` dựng lại chỉ mục."),
    (r"The worker ended (.+) times while it was doing this\.", r"Tiến trình nền đã chết \1 lần khi đang làm việc này."),
    (r"The worker met an error of its own \((.+)\)\.", r"Tiến trình nền gặp lỗi của chính nó (\1)."),
    (r"The embedding model (.+) is away\.", r"Mô hình nhúng \1 đang vắng."),
    (r"The vector index failed to .+", r"Chỉ mục vectơ gặp lỗi; log nói rõ lý do."),
    (r"The vector index is not used: .+", r"Chỉ mục vectơ chưa dùng được."),
    (r"The worker (?:is ending; the next one goes on|ended; the next one goes on)\.", r"Tiến trình nền đã dừng; tiến trình kế tiếp làm tiếp."),
)  # fmt: skip
_WORDS_ONLY = "It is found by words only. "


def told(cause: str, language: str) -> str:
    """`cause` in the language of the page."""
    if language != "vi":
        return cause
    if cause.startswith(_WORDS_ONLY):
        return f"Chỉ tìm được theo từ. {told(cause.removeprefix(_WORDS_ONLY), language)}"
    for pattern, words in _VI:
        if found := re.fullmatch(pattern, cause, re.DOTALL):
            return found.expand(words)
    return cause
