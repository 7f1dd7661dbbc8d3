//! A network namespace with a wire to this machine that can be made to lose packets or to be slow. Needs root, `iproute2`
//! and `nftables`.
//!
//! It goes with its value, also when a test fails; one of a test that was killed stays until `ip netns delete`.

use std::process::Command;

/// It.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    wire: String,
    net: String,
}

impl Namespace {
    /// Makes one, with addresses that nobody else uses.
    pub fn new() -> Self {
        let [_, .., a, b] = uuid::Uuid::new_v4().into_bytes();
        let number = format!("{a:02x}{b:02x}");
        let namespace =
            Self { name: format!("penstock-{number}"), wire: format!("pen{number}"), net: format!("10.{a}.{b}") };
        let Self { name, wire, .. } = &namespace;
        run(&format!("ip netns add {name}"));
        run(&format!("ip link add {wire} type veth peer name inside netns {name}"));
        run(&format!("ip addr add {}/30 dev {wire}", namespace.outside()));
        run(&format!("ip link set {wire} up"));
        namespace.run(&format!("ip addr add {}/30 dev inside", namespace.inside()));
        namespace.run("ip link set inside up");
        namespace.run("ip link set lo up");
        namespace
    }

    /// This machine's address on the wire.
    pub fn outside(&self) -> String {
        format!("{}.1", self.net)
    }

    /// The namespace's address on the wire.
    pub fn inside(&self) -> String {
        format!("{}.2", self.net)
    }

    /// What goes before a command so that it runs inside.
    pub fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// Loses so many of a hundred packets in each direction.
    pub fn lose(&self, percent: u32) {
        self.run("nft add table inet loss");
        for hook in ["input", "output"] {
            self.run(&format!("nft add chain inet loss {hook} {{ type filter hook {hook} priority 0 ; }}"));
            self.run(&format!("nft add rule inet loss {hook} numgen random mod 100 < {percent} drop"));
        }
    }

    /// Lets so many bits through in a second, in each direction; `kbit` and `mbit` are units.
    pub fn limit(&self, rate: &str) {
        let queue = format!("root tbf rate {rate} burst 16kb latency 400ms");
        run(&format!("tc qdisc add dev {} {queue}", self.wire));
        self.run(&format!("tc qdisc add dev inside {queue}"));
    }

    /// As at the start.
    pub fn clear(&self) {
        self.try_run("nft flush ruleset");
        self.try_run("tc qdisc del dev inside root");
        try_run(&format!("tc qdisc del dev {} root", self.wire));
    }

    fn run(&self, command: &str) {
        run(&format!("{} {command}", self.prefix().join(" ")));
    }

    fn try_run(&self, command: &str) {
        try_run(&format!("{} {command}", self.prefix().join(" ")));
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The wire goes with it.
        try_run(&format!("ip netns delete {}", self.name));
    }
}

/// Runs a command of this machine's network; it has to succeed.
fn run(command: &str) {
    let (success, told) = try_run(command);
    assert!(success, "{command}: {told}; this needs root, iproute2 and nftables");
}

fn try_run(command: &str) -> (bool, String) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).output();
    output.map_or_else(
        |error| (false, error.to_string()),
        |output| (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()),
    )
}
