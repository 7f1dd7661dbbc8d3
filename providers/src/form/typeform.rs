//! Typeform: one submitted form a request. The answers carry the question's id and reference, its title is in the form's
//! definition beside them; groups nest questions.

use std::collections::HashMap;

use http::Method;
use serde_json::{Map, Value};

use super::hosted::{self, Names, Submission};
use super::provider::{Form, Proof};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::read::answers::{self, Answer, Asks};
use crate::read::media;
use crate::record::BadReason;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after 408, 423, 429, 503 or no answer within 30 s every 2 to 3 min for 10 h; after most other codes some \
              times, ever more slowly; 404 and 410 switch the webhook off at once and for good, and 404 is what the \
              gateway says where no source has the name (typeform.com/developers/webhooks)",
    max_body: MIB,
};

/// The adapter.
pub(crate) static TYPEFORM: Form = Form {
    name: "typeform",
    contract: &CONTRACT,
    proof: Proof::Hmac {
        header: "typeform-signature",
        prefix: "sha256=",
        secret: "the webhook's secret, as typed into its settings",
    },
    read: |raw, settings| hosted::read(raw, settings, &NAMES, submission),
};

const NAMES: Names = Names { id: "event_id", kind: "event_type", form: RESPONSE, response: RESPONSE };

/// The kind of event that holds a form, and where it is.
const RESPONSE: &str = "form_response";

fn submission(event: &Map<String, Value>) -> Result<Option<Submission>, BadReason> {
    let Some(Value::Object(response)) = event.get(RESPONSE) else { return Ok(None) };
    let titles = Titles::of(response);
    let given = hosted::elements(response.get("answers"));
    hosted::bounded(given.iter().filter_map(|given| titles.of_answer(given)).map(str::len))?;
    let read = |(place, given): (usize, &Value)| match given {
        Value::Object(answered) => answer(answered, titles.of_answer(given)),
        stray => Answer::stray(place, stray),
    };
    let mut about = hosted::about(response, &["answers", "definition"]);
    let title = response.get("definition").and_then(|definition| definition.get("title"));
    about.extend(title.map(|title| ("form_title".to_owned(), title.clone())));
    Ok(Some(Submission {
        id: answers::text_of(response, "token"),
        sent_at: answers::time_of(response, "submitted_at"),
        answers: given.iter().enumerate().map(read).collect(),
        about,
    }))
}

/// The titles of the questions, those in groups too.
struct Titles<'a> {
    /// By what Typeform calls the question.
    by_id: HashMap<&'a str, &'a str>,
    /// By what its user does.
    by_reference: HashMap<&'a str, &'a str>,
}

impl<'a> Titles<'a> {
    fn of(response: &'a Map<String, Value>) -> Self {
        let (mut by_id, mut by_reference) = (HashMap::new(), HashMap::new());
        let mut lists = vec![response.get("definition").and_then(|definition| definition.get("fields"))];
        while let Some(list) = lists.pop() {
            for field in list.and_then(Value::as_array).into_iter().flatten() {
                if let Some(title) = field.get("title").and_then(Value::as_str) {
                    by_id.extend(field.get("id").and_then(Value::as_str).map(|id| (id, title)));
                    by_reference.extend(field.get("ref").and_then(Value::as_str).map(|name| (name, title)));
                }
                lists.push(field.get("properties").and_then(|properties| properties.get("fields")));
                lists.push(field.get("fields"));
            }
        }
        Self { by_id, by_reference }
    }

    /// The title of the question that this answers.
    fn of_answer(&self, given: &Value) -> Option<&'a str> {
        let field = given.get("field")?;
        let name = |name| field.get(name).and_then(Value::as_str);
        let by_id = name("id").and_then(|id| self.by_id.get(id));
        by_id.or_else(|| self.by_reference.get(name("ref")?)).copied()
    }
}

fn answer(given: &Map<String, Value>, title: Option<&str>) -> Answer {
    let field = |name: &str| given.get("field").and_then(|field| field.get(name)).and_then(Value::as_str);
    let (id, reference) = (field("id"), field("ref"));
    let kind = given.get("type").and_then(Value::as_str).unwrap_or_default();
    let value = value(given, kind);
    // Under a name that is none of its type's, the value is all that is neither of these.
    let is_unknown = !given.contains_key(kind);
    let is_kept = |name: &str, said: &Value| match name {
        "type" | "field" => true,
        _ => !is_unknown && (name != kind || *said != value),
    };
    let rest = given.iter().filter(|(name, said)| is_kept(name, said));
    Answer {
        label: title.unwrap_or_default().to_owned(),
        key: reference.or(id).unwrap_or_default().to_owned(),
        asks: match (kind, field("type")) {
            ("email", _) => Asks::Email,
            ("phone_number", _) => Asks::Phone,
            ("text", Some("long_text")) => Asks::Text,
            ("text", Some("short_text") | None) => Asks::Line,
            _ => Asks::Other,
        },
        files: answers::text_of(given, "file_url").iter().map(|url| answers::file(url)).collect(),
        rest: rest.map(|(name, value)| (name.clone(), value.clone())).collect(),
        value,
    }
}

/// A choice by its label, several as a list; anything else as it is. The value stands under the name of its type.
fn value(given: &Map<String, Value>, kind: &str) -> Value {
    match (kind, given.get(kind)) {
        ("choice", Some(Value::Object(choice))) => {
            let mut said = ["label", "other"].iter().filter_map(|name| choice.get(*name));
            said.find(|said| !said.is_null()).cloned().unwrap_or_else(|| choice.clone().into())
        }
        ("choices", Some(Value::Object(choices)))
            if choices.contains_key("labels") || choices.contains_key("other") =>
        {
            let labels = choices.get("labels").and_then(Value::as_array).into_iter().flatten();
            labels.chain(choices.get("other").filter(|other| !other.is_null())).cloned().collect()
        }
        (_, Some(value)) => value.clone(),
        (_, None) => {
            let rest = given.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "field"));
            rest.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    }
}
