"""The words about what was deleted and where it still is; `say` in texts.py reads them."""

from __future__ import annotations

EN = {
    "deletions": "Deletions",
    "deletions_note": "What was deleted is in no answer any more. Its bytes leave the server's files within {hours} hours.",
    "deleted_now": "Deleted. Its bytes leave the server's files within {hours} hours; the account page says when.",
    "deleted_message": "Question and answer",
    "deleted_conversation": "Conversation",
    "deleted_document": "Document",
    "deleted_user": "Person",
    "deleted_tenant": "Team",
    "deleted_at": "deleted {when}",
    "deletion_pending": "In the files until {when} at the latest",
    "deletion_erased": "Erased from every file {when}",
    "deletion_held": "still in {n} backups",
    "deletion_held_one": "still in {n} backup",
    "deletion_expires": "the last one expires {when}",
    "deletion_kept": "{n} of them are kept by whoever made them",
    "deletion_kept_one": "{n} of them is kept by whoever made it",
    "deletion_passages": "{n} passages",
    "deletion_passages_one": "{n} passage",
    "deletion_answers": "{n} answers rested on it",
    "deletion_answers_one": "{n} answer rested on it",
}
VI = {
    "deletions": "Những gì đã xoá",
    "deletions_note": "Nội dung đã xoá không còn trong câu trả lời nào. Dữ liệu của nó rời khỏi các tệp trên máy chủ trong vòng {hours} giờ.",
    "deleted_now": "Đã xoá. Dữ liệu rời khỏi các tệp trên máy chủ trong vòng {hours} giờ; trang tài khoản cho biết khi nào.",
    "deleted_message": "Câu hỏi và câu trả lời",
    "deleted_conversation": "Cuộc trò chuyện",
    "deleted_document": "Tài liệu",
    "deleted_user": "Người dùng",
    "deleted_tenant": "Nhóm",
    "deleted_at": "xoá lúc {when}",
    "deletion_pending": "Còn trong các tệp, chậm nhất đến {when}",
    "deletion_erased": "Đã xoá khỏi mọi tệp lúc {when}",
    "deletion_held": "còn trong {n} bản sao lưu",
    "deletion_expires": "bản cuối hết hạn {when}",
    "deletion_kept": "{n} bản do người tạo giữ",
    "deletion_passages": "{n} đoạn",
    "deletion_answers": "{n} câu trả lời dựa vào đó",
}
