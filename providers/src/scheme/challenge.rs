//! The handshake of `WebSub`, as Meta uses it: a GET with a token that both sides know and a text to say back.

use super::mac;
use crate::handshake::Handshake;
use crate::read::form;
use crate::request::BadRequest;
use crate::verdict::Flaw;

/// The query parameter with the token.
pub(crate) const TOKEN: &str = "hub.verify_token";

/// The answer to this query. The token is looked at first: whoever does not know it learns nothing else.
pub(crate) fn answer(query: &str, token: Option<&str>) -> Handshake {
    let shown = match single(query, TOKEN) {
        Ok(shown) => shown,
        Err(flaw) => return Handshake::Refused(flaw),
    };
    // An empty token is an unset variable, and would fit whatever shows an empty one.
    let fits = token.filter(|token| !token.is_empty()).is_some_and(|token| mac::equal(token.as_bytes(), &shown));
    if !fits {
        return Handshake::Refused(Flaw::Mismatch);
    }
    match single(query, "hub.mode") {
        Ok(mode) if mode == b"subscribe" => {}
        Ok(_) => return Handshake::Refused(Flaw::Malformed),
        Err(flaw) => return Handshake::Refused(flaw),
    }
    match single(query, "hub.challenge").map(String::from_utf8) {
        Ok(Ok(challenge)) => Handshake::echo(challenge),
        Ok(Err(_)) | Err(_) => Handshake::Bad(BadRequest::NoChallenge),
    }
}

/// The only value of this name, which is not empty.
fn single(query: &str, name: &str) -> Result<Vec<u8>, Flaw> {
    let mut values = form::pairs(query.as_bytes()).filter(|(key, _)| key == name.as_bytes());
    let (_, value) = values.next().filter(|(_, value)| !value.is_empty()).ok_or(Flaw::Missing)?;
    if values.next().is_some() { Err(Flaw::Repeated) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subscription_with_the_token_hears_its_challenge() {
        let token = Some("t0k en");
        let refused = |query: &str| matches!(answer(query, token), Handshake::Refused(_));
        let whole = "hub.challenge=1%3C&hub.mode=subscribe&hub.verify_token=t0k+en";
        assert_eq!(answer(whole, token), Handshake::echo("1<"));
        assert!(refused(""));
        assert!(refused("hub.mode=subscribe&hub.challenge=1&hub.verify_token="));
        assert!(refused("hub.mode=subscribe&hub.challenge=1&hub.verify_token=t0k"));
        assert!(refused("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=t0k+en"));
        assert!(refused("hub.challenge=1&hub.verify_token=t0k+en"));
        assert!(refused(&format!("{whole}&hub.verify_token=t0k+en")));
        for challenge in ["", "&hub.challenge=", "&hub.challenge=%ff", "&hub.challenge=1&hub.challenge=2"] {
            let query = format!("hub.mode=subscribe&hub.verify_token=t0k+en{challenge}");
            assert_eq!(answer(&query, token), Handshake::Bad(BadRequest::NoChallenge), "{challenge}");
        }
    }

    #[test]
    fn a_source_without_a_token_refuses_every_handshake() {
        for query in ["hub.mode=subscribe&hub.challenge=1&hub.verify_token=x", "hub.verify_token=&hub.challenge=1"] {
            assert!(matches!(answer(query, None), Handshake::Refused(_)));
            assert!(matches!(answer(query, Some("")), Handshake::Refused(_)));
        }
    }
}
