//! Which URLs are those of SNS. They come from a request that is not verified yet, so this decides whom we call.
//!
//! What looks like a region need not be one: `sns.s3-us-west-2.amazonaws.com` is a bucket called `sns`, which anybody may
//! own. So the region has to be that of the topic, which the operator has named.

use http::Uri;

/// Longest URL looked at, in bytes.
const LONGEST: usize = 2048;

/// Whether a certificate of SNS may lie there, for a topic of this name.
pub(super) fn is_certificate(url: &str, topic: &str) -> bool {
    let is_pem = |uri: &Uri| uri.query().is_none() && uri.path().strip_suffix(".pem").is_some();
    !url.contains('?') && of_sns(url, topic).as_ref().is_some_and(is_pem)
}

/// Whether this is an address of SNS itself, in the region of a topic of this name.
pub(super) fn is_of_sns(url: &str, topic: &str) -> bool {
    of_sns(url, topic).is_some()
}

/// The URL, if it is `https` to the host of SNS in the topic's region, and has neither user nor port nor fragment.
fn of_sns(url: &str, topic: &str) -> Option<Uri> {
    if url.len() > LONGEST || url.contains('#') || !url.starts_with("https://") {
        return None;
    }
    let uri: Uri = url.parse().ok()?;
    let host = host(topic)?;
    (uri.authority()?.as_str() == host).then_some(uri)
}

/// `sns.{region}.amazonaws.com` of `arn:{partition}:sns:{region}:{account}:{name}`, or the same in China.
pub(super) fn host(topic: &str) -> Option<String> {
    let mut parts = topic.split(':').skip(1);
    let (partition, region) = (parts.next()?, parts.nth(1)?);
    let is_region = region.split('-').count() >= 3
        && region.split('-').all(|part| !part.is_empty())
        && region.starts_with(|first: char| first.is_ascii_lowercase())
        && !region.starts_with("s3-")
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && region.ends_with(|last: char| last.is_ascii_digit());
    let end = if partition == "aws-cn" { ".cn" } else { "" };
    is_region.then(|| format!("sns.{region}.amazonaws.com{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:inbound";

    #[test]
    fn a_certificate_lies_at_sns_and_nowhere_else() {
        for (url, topic) in [
            (
                "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-b16e89ca6d4465bc9a07ad5be0d33f55.pem",
                TOPIC,
            ),
            ("https://sns.cn-north-1.amazonaws.com.cn/a.pem", "arn:aws-cn:sns:cn-north-1:1:t"),
            ("https://sns.us-gov-west-1.amazonaws.com/a/b.pem", "arn:aws-us-gov:sns:us-gov-west-1:1:t"),
        ] {
            assert!(is_certificate(url, topic), "{url}");
        }
        let bucket = "https://sns.s3-us-west-2.amazonaws.com/a.pem";
        for topic in [TOPIC, "arn:aws:sns:us-west-2:1:t", "arn:aws:sns:s3-us-west-2", "arn:aws:sns", "", "::::::"] {
            assert!(!is_certificate(bucket, topic), "{topic}");
        }
        for url in [
            "http://sns.eu-west-1.amazonaws.com/a.pem",
            "HTTPS://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
            "https://sns.eu-west-1.amazonaws.com.cn.example/a.pem",
            "https://bucket.s3.amazonaws.com/a.pem",
            "https://sns.evil.example/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.EU-west-1.amazonaws.com/a.pem",
            "https://sns.s3-accelerate.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com.cn/a.pem",
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
            assert!(!is_certificate(url, TOPIC), "{url}");
        }
        let long = format!("https://sns.eu-west-1.amazonaws.com/{}.pem", "a".repeat(LONGEST));
        assert!(!is_certificate(&long, TOPIC));
    }

    #[test]
    fn what_is_called_is_sns_too() {
        assert!(is_of_sns("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336", TOPIC));
        for url in [
            "https://sns.eu-west-1.amazonaws.com:444/?Action=ConfirmSubscription",
            "https://u:p@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "https://169.254.169.254/?Action=ConfirmSubscription",
            "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
        ] {
            assert!(!is_of_sns(url, TOPIC), "{url}");
        }
    }
}
