//! `penstock send`: plays a provider: posts a sample or a file to a source, signed with the source's first secret.

mod build;
mod file;
mod sample;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use proto::Millis;
use runtime::config::Config;
use serde::Serialize;
use uuid::Uuid;

use self::build::Player;
use self::sample::Unsigned;
use super::error::{Answer, CommandError, Ending};
use super::site::Where;
use super::{clock, out};
use crate::http_client::Client;

/// What `penstock send` is told.
#[derive(Debug, Args)]
#[command(override_usage = "penstock send [OPTIONS] <SOURCE>\n       penstock send --list-samples")]
pub(crate) struct SendArgs {
    /// A source of the configuration
    #[arg(required_unless_present = "list_samples")]
    source: Option<String>,
    #[command(flatten)]
    place: Where,
    /// Post this file
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    file: Option<PathBuf>,
    /// Post this sample [default: the first that the source's provider would send]
    #[arg(long, value_name = "NAME")]
    sample: Option<String>,
    /// Show the samples there are
    #[arg(long)]
    list_samples: bool,
    /// Post a sample as it is: each time the same message
    #[arg(long)]
    verbatim: bool,
    /// The media type, where the file's name or the sample does not say it
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A header to add, or to put in the place of the one there; can be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,
    /// The query, without the question mark
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// The method, for a file
    #[arg(long, default_value = "POST")]
    method: String,
    /// So many times, one after the other on one connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// The gateway's address [default: of the running `penstock up`, or gateway.listen]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON, one line a request
    #[arg(long)]
    json: bool,
}

/// Longest wait for an answer: the gateway promises one within three seconds, and a large body takes its time.
const LIMIT: Duration = Duration::from_secs(30);

/// What the gateway answered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Posted {
    pub(crate) status: u16,
    /// The request's id, which every answer carries.
    pub(crate) id: Option<Uuid>,
    /// `RAW/1234`, where it is stored.
    pub(crate) stored: Option<String>,
    /// Headers that say when to come again, and how much is left.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) milliseconds: u64,
}

impl Posted {
    /// Whether the gateway has taken it.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Posts a sample to a source, as its provider would: a message that is new in each call, `copies` times. `name` is one of
/// `--list-samples`; without it the first that the provider would send. `gateway_url` is where the gateway is reached from
/// here; `config` needs its sources with their secrets.
pub(crate) async fn post_sample(
    config: &Config,
    gateway_url: &str,
    source: &str,
    name: Option<&str>,
    copies: usize,
) -> Result<Vec<Posted>, CommandError> {
    let player = Player::new(config, source, gateway_url)?;
    let unsigned = fill(&player, name, false)?;
    let mut sender = Sender { player, client: None };
    let mut posted = Vec::with_capacity(copies);
    for _ in 0..copies {
        posted.push(sender.post(&unsigned).await?);
    }
    Ok(posted)
}

pub(crate) async fn run(args: SendArgs) -> Answer {
    let Some(source) = args.source.as_deref().filter(|_| !args.list_samples) else {
        list();
        return Ok(Ending::Clean);
    };
    let site = args.place.site()?;
    let url = args.url.clone().or_else(|| site.gateway_url.clone()).ok_or_else(|| {
        CommandError::usage("no gateway runs there", "start one, or name its address: --url http://host:port")
    })?;
    let player = Player::new(&site.config()?, source, &url)?;
    if let Some(name) = args.sample.as_deref().filter(|name| is_foreign(&player, name)) {
        let own = format!("{}/{}", player.channel, player.provider);
        out::note(format!("{name} is not what {own} sends; see `penstock send --list-samples`"));
    }
    let mut sender = Sender { player, client: None };
    let mut refused = 0;
    for number in 1..=args.repeat {
        let unsigned = request(&args, &sender.player)?;
        let posted = sender.post(&unsigned).await?;
        refused += u32::from(!posted.is_success());
        if args.json {
            // Made of texts and numbers: it can be written.
            out::line(serde_json::to_string(&posted).unwrap_or_default());
        } else if args.repeat > 1 {
            out::line(format!("{number:>6}  {}", summary(&posted)));
        } else {
            tell(&posted, &args.place);
        }
    }
    Ok(Ending::finding_if(refused > 0))
}

fn list() {
    let mut table = out::table(&["sample", "for", "what it is"]);
    for sample in sample::all() {
        let adapters: Vec<&str> = sample.adapters().collect();
        table.add_row([out::cell(sample.name), out::cell(adapters.join(", ")), out::cell(sample.about)]);
    }
    out::line(out::rendered(&table));
}

fn request(args: &SendArgs, player: &Player) -> Result<Unsigned, CommandError> {
    let mut unsigned = match &args.file {
        Some(path) => {
            let body = std::fs::read(path).map_err(|error| {
                CommandError::usage(format!("{} cannot be read", path.display()), "name another file").because(error)
            })?;
            let headers = vec![("content-type".to_owned(), file::media_type(path, &body))];
            Unsigned { method: args.method.clone(), query: None, headers, body }
        }
        None => fill(player, args.sample.as_deref(), args.verbatim)?,
    };
    if args.query.is_some() {
        unsigned.query.clone_from(&args.query);
    }
    let media = args.content_type.iter().map(|value| ("content-type".to_owned(), value.clone()));
    for (name, value) in media.chain(args.header.iter().cloned()) {
        unsigned.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        unsigned.headers.push((name, value));
    }
    Ok(unsigned)
}

fn fill(player: &Player, name: Option<&str>, verbatim: bool) -> Result<Unsigned, CommandError> {
    let chosen = sample::choose(player.channel, &player.provider, name);
    let chosen = chosen.ok_or_else(|| no_sample(player, name))?;
    let seed = if verbatim { chosen.verbatim_seed() } else { random_seed() };
    let now = if verbatim { FIXED } else { clock::now() };
    chosen.fill(seed, now).ok_or_else(|| no_sample(player, name))
}

/// Whether there is such a sample, of another provider's.
fn is_foreign(player: &Player, name: &str) -> bool {
    sample::choose(player.channel, &player.provider, Some(name))
        .is_some_and(|sample| !sample.fits(player.channel, &player.provider))
}

/// The time in a message that is the same each time.
const FIXED: i64 = 1_768_469_400_000;

fn random_seed() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(Uuid::new_v4().as_bytes()).update(Uuid::new_v4().as_bytes());
    *hasher.finalize().as_bytes()
}

fn no_sample(player: &Player, name: Option<&str>) -> CommandError {
    let what = match name {
        Some(name) => format!("there is no sample {name:?}"),
        None => format!("there is no sample of what {}/{} sends", player.channel, player.provider),
    };
    CommandError::usage(what, "see `penstock send --list-samples`, or post a file: --file FILE")
}

/// `Name: value`.
pub(crate) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A player with a connection.
struct Sender {
    player: Player,
    client: Option<Client>,
}

impl Sender {
    async fn post(&mut self, unsigned: &Unsigned) -> Result<Posted, CommandError> {
        let now = Millis::from_unix(clock::now());
        let now = now.ok_or_else(|| CommandError::usage("this machine's clock is wrong", "set it"))?;
        let request = self.player.sign(unsigned, now)?;
        let url = self.player.url();
        let unreachable = |error| {
            let next =
                "look with `penstock status` whether a gateway runs, or name its address: --url http://host:port";
            CommandError::unreachable("the gateway did not answer", next).because(error)
        };
        let mut client = match self.client.take().filter(Client::is_open) {
            Some(client) => client,
            None => Client::connect(&url, LIMIT).await.map_err(unreachable)?,
        };
        let begun = Instant::now();
        let answer = client.send(request, LIMIT).await.map_err(unreachable)?;
        self.client = Some(client);
        Ok(Posted {
            status: answer.status.as_u16(),
            id: answer.header("penstock-id").and_then(|id| id.parse().ok()),
            stored: answer.header("penstock-stored").map(str::to_owned),
            headers: of_interest(&answer.headers),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn of_interest(headers: &http::HeaderMap) -> Vec<(String, String)> {
    const NAMES: [&str; 6] =
        ["content-type", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate", "allow"];
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    NAMES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
}

fn summary(posted: &Posted) -> String {
    let id = posted.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let status = posted.status.to_string();
    let status = if posted.is_success() { out::good(&status) } else { out::bad(&status) };
    format!("{status}  {id}  {}  {} ms", posted.stored.as_deref().unwrap_or("-"), posted.milliseconds)
}

fn tell(posted: &Posted, place: &Where) {
    out::line(summary(posted));
    for (name, value) in &posted.headers {
        out::line(format!("  {name}: {}", out::shown(value)));
    }
    out::line(format!("  {}", out::shown(posted.body.trim_end())));
    if let (true, Some(id)) = (posted.is_success(), posted.id) {
        out::line(format!("follow it: penstock explain {id}{}", place.flags()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_have_any_space_around_it() {
        assert_eq!(parse_header("X-A:  b: c ").unwrap(), ("X-A".to_owned(), "b: c".to_owned()));
        assert!(parse_header("none").is_err());
    }

    #[test]
    fn only_a_2xx_was_taken() {
        let posted = |status| Posted {
            status,
            id: None,
            stored: None,
            headers: Vec::new(),
            body: String::new(),
            milliseconds: 1,
        };
        assert!(posted(200).is_success() && posted(299).is_success());
        assert!(!posted(199).is_success() && !posted(409).is_success());
    }
}
