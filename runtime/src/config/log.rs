//! `[log]`: what a process writes about itself.

use super::format::{log_filter, one_of};
use super::reader::Reader;

/// What a process writes about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Default `json`.
    pub format: LogFormat,
    /// A level or a filter of `tracing_subscriber::EnvFilter`. Default `info`.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people, with colours on a terminal.
    Pretty,
}

impl Log {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        let format = one_of(&[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)]);
        Self { format: reader.or("format", "json", &format), level: reader.or("level", "info", &log_filter()) }
    }
}
