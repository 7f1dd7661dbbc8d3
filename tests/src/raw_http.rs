//! HTTP/1 by hand: bytes go out as they are, right or wrong, and the answers are told apart by their own lengths.
//!
//! A gateway that hangs up on what is still being sent resets the connection, so neither a failed write nor a reset is a
//! failure here: what counts is what was answered, and that there was an end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any time limit of a gateway in the tests.
const PATIENCE: Duration = Duration::from_secs(45);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The code.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body, by its length.
    pub body: String,
}

/// Sends these bytes on a connection of their own and reads until the other side ends it. The reason where it does not,
/// or where what it sends is not a row of whole answers.
pub async fn exchange(url: &str, bytes: &[u8]) -> Result<Vec<RawAnswer>, String> {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = stream.into_split();
    let mut answered = Vec::new();
    let both = async {
        tokio::join!(async { writer.write_all(bytes).await.is_ok() }, async {
            while reader.read_buf(&mut answered).await.is_ok_and(|read| read > 0) {}
        })
    };
    let ended = timeout(PATIENCE, both).await.is_ok();
    let answers = answers(&answered).ok_or_else(|| format!("no answers: {:?}", String::from_utf8_lossy(&answered)))?;
    if ended { Ok(answers) } else { Err(format!("the connection does not end after {answers:?}")) }
}

/// Takes answers apart; `None` where the bytes are not whole answers. What only says to go on is none.
fn answers(mut bytes: &[u8]) -> Option<Vec<RawAnswer>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?.to_lowercase();
        let status =
            head.strip_prefix("http/1.1 ").or_else(|| head.strip_prefix("http/1.0 "))?.get(..3)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let body = String::from_utf8(bytes.get(end..end + length)?.to_vec()).ok()?;
        bytes = &bytes[end + length..];
        if status >= 200 {
            found.push(RawAnswer { status, head, body });
        }
    }
    Some(found)
}
