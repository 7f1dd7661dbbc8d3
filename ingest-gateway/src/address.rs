//! Whose request it is, for the limits per address: the peer's, or what a trusted proxy says.
//!
//! `X-Forwarded-For` is written from left to right, each proxy adding the peer it saw; everything left of the first
//! hop that is not ours was written by somebody who may say what he likes. So it is read from the right.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// The client's address. `forwarded` are the values of all `X-Forwarded-For` headers, in order.
pub fn client<'a>(peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for hop in hops {
        // What cannot be read ("unknown") hides whoever is behind it: the last proxy that could be read answers.
        let Some(address) = parse(hop) else { return client };
        client = address;
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, any of them in double quotes.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

/// What is limited as one: an IPv4 address, also behind NAT64 (RFC 6052, `64:ff9b::/96`), or the /64 of an IPv6 address, which
/// one customer has all of.
pub fn limited_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            if let [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, embedded @ ..] = address.octets() {
                return IpAddr::V4(embedded.into());
            }
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).into();
        client(peer.parse().unwrap(), forwarded.iter().map(|value| value.as_bytes()), &trusted).to_string()
    }

    #[test]
    fn the_rightmost_hop_that_is_not_ours_is_the_client() {
        let table: &[(&str, &[&str], &str)] = &[
            // Nobody is believed who is not listed.
            ("192.0.2.9", &["203.0.113.1"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            // What the client itself wrote stands to the left.
            ("10.0.0.1", &["1.2.3.4, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.1, 10.0.0.2"], "203.0.113.1"),
            // Several headers are one list.
            ("10.0.0.1", &["1.2.3.4", "203.0.113.1,10.0.0.2"], "203.0.113.1"),
            ("10.0.0.1", &["203.0.113.1", "10.0.0.2"], "203.0.113.1"),
            // Only ours: the left-most of them.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Ports and IPv6.
            ("10.0.0.1", &["203.0.113.1:4711"], "203.0.113.1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["\"[2001:db8::1]:4711\""], "2001:db8::1"),
            ("fd00::1", &["203.0.113.1"], "203.0.113.1"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.1"], "203.0.113.1"),
            // What cannot be read ends the reading.
            ("10.0.0.1", &["203.0.113.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.1, "], "10.0.0.1"),
        ];
        for (peer, forwarded, expected) in table {
            assert_eq!(seen(peer, forwarded), *expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn an_ipv6_customer_is_limited_as_one() {
        let limited = |text: &str| limited_as(text.parse().unwrap());
        assert_eq!(limited("2001:db8:1:2:3::4"), limited("2001:db8:1:2:ffff::1"));
        assert_ne!(limited("2001:db8:1:2::1"), limited("2001:db8:1:3::1"));
        assert_ne!(limited("192.0.2.1"), limited("192.0.2.2"));
        assert_eq!(limited("::ffff:192.0.2.1"), limited("192.0.2.1"));
        assert_eq!(limited("64:ff9b::192.0.2.1"), limited("192.0.2.1"), "all behind one NAT64 are not one");
    }
}
