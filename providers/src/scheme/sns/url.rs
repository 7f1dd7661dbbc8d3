//! Which URLs are those of SNS. They come from a request that is not verified yet, so this decides whom we call.

use http::Uri;

/// Longest URL looked at, in bytes.
const LONGEST: usize = 2048;

/// Whether a certificate of SNS may lie there.
pub(super) fn is_certificate(url: &str) -> bool {
    let is_pem = |uri: &Uri| uri.query().is_none() && uri.path().strip_suffix(".pem").is_some();
    !url.contains('?') && of_sns(url).as_ref().is_some_and(is_pem)
}

/// Whether this is an address of SNS itself.
pub(super) fn is_of_sns(url: &str) -> bool {
    of_sns(url).is_some()
}

/// The URL, if it is `https` to a host of SNS, and has neither user nor port nor fragment.
fn of_sns(url: &str) -> Option<Uri> {
    if url.len() > LONGEST || url.contains('#') || !url.starts_with("https://") {
        return None;
    }
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    is_host(authority).then_some(uri)
}

/// `sns.{region}.amazonaws.com` or the same in China.
fn is_host(authority: &str) -> bool {
    let Some(rest) = authority.strip_prefix("sns.") else { return false };
    let rest = rest.strip_suffix(".cn").unwrap_or(rest);
    let Some(region) = rest.strip_suffix(".amazonaws.com") else { return false };
    region.len() >= 3 && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_lies_at_sns_and_nowhere_else() {
        for url in [
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-b16e89ca6d4465bc9a07ad5be0d33f55.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
            "https://sns.us-gov-west-1.amazonaws.com/a/b.pem",
        ] {
            assert!(is_certificate(url), "{url}");
        }
        for url in [
            "http://sns.eu-west-1.amazonaws.com/a.pem",
            "HTTPS://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
            "https://sns.eu-west-1.amazonaws.com.cn.example/a.pem",
            "https://bucket.s3.amazonaws.com/a.pem",
            "https://sns.evil.example/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns.eu.amazonaws.com/a.pem",
            "https://sns..amazonaws.com/a.pem",
            "https://xsns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com:443/a.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
            "https://user@sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
            "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com/a.pem?x",
            "https://sns.eu-west-1.amazonaws.com/a.pem?",
            "https://sns.eu-west-1.amazonaws.com/?a=b.pem",
            "https://sns.eu-west-1.amazonaws.com/a.pem#",
            "https://evil.example#@sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
            "https://sns.eu-west-1.amazonaws.com/a.pem ",
            " https://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com/a.PEM",
            "https://sns.eu-west-1.amazonaws.com./a.pem",
            "https://sns.eu-west-1.amazonaws.com",
            "//sns.eu-west-1.amazonaws.com/a.pem",
            "file:///etc/passwd.pem",
            "",
        ] {
            assert!(!is_certificate(url), "{url}");
        }
        let long = format!("https://sns.eu-west-1.amazonaws.com/{}.pem", "a".repeat(LONGEST));
        assert!(!is_certificate(&long));
    }

    #[test]
    fn what_is_called_is_sns_too() {
        assert!(is_of_sns("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336"));
        for url in [
            "https://sns.eu-west-1.amazonaws.com:444/?Action=ConfirmSubscription",
            "https://u:p@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "https://169.254.169.254/?Action=ConfirmSubscription",
            "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
        ] {
            assert!(!is_of_sns(url), "{url}");
        }
    }
}
