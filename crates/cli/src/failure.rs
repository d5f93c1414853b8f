//! Why a run ended early, in one line, and with which exit status (contract: 1 failed, 2 wrong usage).

use std::fmt;

/// The end of a run that did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration: exit status 2.
    Usage(String),
    /// The run failed: exit status 1.
    Run(String),
    /// Whoever read our output has gone.
    BrokenPipe,
}

impl Failure {
    /// Wrong usage, with the whole chain of reasons.
    pub fn usage(error: impl std::error::Error) -> Self {
        Self::Usage(chain(&error))
    }

    /// A failed run, with the whole chain of reasons.
    pub fn run(error: impl std::error::Error) -> Self {
        Self::Run(chain(&error))
    }

    /// The process's exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) | Self::BrokenPipe => 1,
        }
    }

    /// Whether there is nobody left to tell.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::BrokenPipe)
    }
}

/// An error and its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text.replace('\n', " ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Run(text) => f.write_str(text),
            Self::BrokenPipe => f.write_str("the reader of the output has gone"),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// For what is written to standard output.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Run(format!("writing the output: {error}"))
        }
    }
}
