//! Mails through the real door: one becomes a row, a report about two recipients two, and what is sent again none.

use serde_json::json;
use tests::Request;
use tests::config::BEARER;

use crate::shared;

fn mail(source: &str, body: impl Into<bytes::Bytes>) -> Request {
    Request::post(format!("/v1/email/{source}"), body)
        .header("Content-Type", "message/rfc822")
        .header("Authorization", format!("Bearer {BEARER}"))
}

#[tokio::test]
async fn a_mail_becomes_one_row_however_often_it_comes() {
    let pipeline = shared::pipeline().await;
    let body = b"From: =?utf-8?Q?J=C3=B6?= <jo@X.example>\r\nTo: us@y.example\r\nSubject: caf\xe9\r\n\
        Date: 31 Jul 26 08:15 EST\r\nMessage-ID: <1@x.example>\r\nReferences: <0@y.example>\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\0\r\n--b\r\n\
        Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n";
    pipeline.post(&mail("mails", &body[..])).await.accepted();
    pipeline.post(&mail("mails", [b"Received: by another way\r\n", &body[..]].concat())).await.accepted();
    // Of two that are on their way together, either may be the row.
    let row = pipeline.rows("mails", 1, 1).await.remove(0);
    assert_eq!((&row["kind"], &row["text"], &row["subject"]), (&json!("message"), &json!("hello"), &json!("café")));
    assert_eq!((&row["sender_address"], &row["sender_name"]), (&json!("jo@x.example"), &json!("Jö")), "{row:#}");
    assert_eq!((&row["conversation"], &row["metadata"]["message_id"]), (&json!("0@y.example"), &json!("1@x.example")));
    let file = &row["attachments"][0];
    assert_eq!((&file["filename"], &file["size"]), (&json!("a.pdf"), &json!(5)), "{row:#}");
    assert_eq!(file["blake3"], blake3::hash(b"hello").to_hex().as_str(), "{row:#}");
}

#[tokio::test]
async fn a_bounce_is_a_status_for_each_recipient() {
    let pipeline = shared::pipeline().await;
    let body = "Message-ID: <r@mx.example>\r\nDate: 31 Jul 2026 12:00:00 +0000\r\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\n\
        Content-Type: message/delivery-status\r\n\r\n\
        Final-Recipient: rfc822; one@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
        Final-Recipient: rfc822; two@x.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n--b\r\n\
        Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <ours@y.example>\r\n--b--\r\n";
    let answer = pipeline.post(&mail("bounces", body)).await;
    answer.accepted();
    pipeline.settled().await;
    let rows = pipeline.database.of_request("message_statuses", answer.id()).await;
    let expected = [("one@x.example", "failed", "5.1.1"), ("two@x.example", "delayed", "4.4.1")];
    assert_eq!(rows.len(), expected.len());
    for (row, (recipient, status, code)) in rows.iter().zip(expected) {
        assert_eq!((&row["kind"], &row["status"]), (&json!("bounce"), &json!(status)), "{row:#}");
        assert_eq!((&row["recipient"], &row["error_code"]), (&json!(recipient), &json!(code)), "{row:#}");
        assert_eq!(row["reply_to_id"], "ours@y.example", "{row:#}");
    }
}
