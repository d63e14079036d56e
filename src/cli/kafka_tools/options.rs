//! What the tools of Apache Kafka accept on their command lines, and how they read it.
//!
//! A tool is a table of options; docs/tools.md is made from the tables. Kafka's tools use two parsers: joptsimple (all
//! options at one level, no abbreviations) and argparse4j (sub-commands, short names, unambiguous prefixes). Both are
//! one parser here, told apart by [`Style`]. Nothing here knows what an option means.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::str::FromStr;

use super::failure::Failure;

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// One value; the text names it in the help.
    Value(&'static str),
    /// A value or nothing.
    Maybe(&'static str),
    /// As many values as follow.
    Many(&'static str),
}

/// Whether an option does here what it does in Kafka.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Served {
    /// It does.
    Yes,
    /// It is accepted and changes nothing; the text says why.
    WithoutEffect(&'static str),
    /// It is refused; the text says why.
    No(&'static str),
}

/// One option of a tool.
#[derive(Debug)]
pub(super) struct Opt {
    /// Without the dashes.
    pub(super) name: &'static str,
    /// The letter of its short form.
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    pub(super) served: Served,
    /// One line for the help.
    pub(super) about: &'static str,
}

impl Opt {
    /// An option without a value.
    pub(super) const fn flag(name: &'static str, about: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Nothing, served: Served::Yes, about }
    }

    /// An option with a value.
    pub(super) const fn value(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Value(value), served: Served::Yes, about }
    }

    /// An option that may have a value.
    pub(super) const fn maybe(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Maybe(value), served: Served::Yes, about }
    }

    /// An option with as many values as follow.
    pub(super) const fn many(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Many(value), served: Served::Yes, about }
    }

    /// With a short form.
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Accepted without effect.
    pub(super) const fn without_effect(mut self, why: &'static str) -> Self {
        self.served = Served::WithoutEffect(why);
        self
    }

    /// Refused.
    pub(super) const fn not_served(mut self, why: &'static str) -> Self {
        self.served = Served::No(why);
        self
    }
}

pub(super) const BOOTSTRAP_SERVER: Opt = Opt::value("bootstrap-server", "host:port,…", "The brokers to ask first.");
pub(super) const BOOTSTRAP_CONTROLLER: Opt =
    Opt::value("bootstrap-controller", "host:port,…", "The controllers to ask first.")
        .not_served("Ottla's controllers do not speak Kafka's protocol; ask a broker with --bootstrap-server");
pub(super) const COMMAND_CONFIG: Opt = Opt::value("command-config", "file", "A properties file for the client.");
pub(super) const HELP: Opt = Opt::flag("help", "Prints this help.");
pub(super) const VERSION: Opt = Opt::flag("version", "Prints the version of Kafka that the tool stands for.");

/// Which parser Kafka's tool uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    JoptSimple,
    Argparse,
}

/// A sub-command and its own options.
#[derive(Debug)]
pub(super) struct SubCommand {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) options: &'static [Opt],
    /// Why it is refused, when it is.
    pub(super) served: Served,
}

/// A tool of Kafka's.
pub(super) struct Tool {
    /// Without `.sh`.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) style: Style,
    pub(super) options: &'static [Opt],
    /// Empty for a tool without sub-commands.
    pub(super) commands: &'static [SubCommand],
    pub(super) run: fn(&Given) -> Result<(), Failure>,
}

impl Tool {
    /// The help: a line about the tool, and one for each option.
    pub(super) fn usage(&self) -> String {
        let mut text = String::new();
        for command in self.commands {
            let _ = writeln!(text, "  {:<44} {}", command.name, command.about);
            command.options.iter().for_each(|option| usage_line(&mut text, "    ", option));
        }
        self.options.iter().for_each(|option| usage_line(&mut text, "  ", option));
        text
    }
}

fn usage_line(text: &mut String, indent: &str, option: &Opt) {
    let short = option.short.map(|letter| format!(", -{letter}")).unwrap_or_default();
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(value) => format!(" <{value}>"),
        Takes::Maybe(value) => format!(" [{value}]"),
        Takes::Many(value) => format!(" <{value}> …"),
    };
    let note = match option.served {
        Served::Yes => String::new(),
        Served::WithoutEffect(why) => format!(" (Without effect: {why}.)"),
        Served::No(why) => format!(" (Not served: {why}.)"),
    };
    let left = format!("{indent}--{}{short}{value}", option.name);
    let _ = writeln!(text, "{left:<46} {}{note}", option.about);
}

/// What was given on a command line.
pub(super) struct Given {
    pub(super) tool: &'static Tool,
    /// The sub-command.
    pub(super) command: Option<&'static SubCommand>,
    /// In the order of the command line.
    options: Vec<(&'static Opt, Option<String>)>,
    /// Words that belong to no option.
    pub(super) words: Vec<String>,
    /// The command line itself.
    pub(super) line: Vec<String>,
}

impl Given {
    /// Reads a command line.
    pub(super) fn parse(tool: &'static Tool, arguments: &[String]) -> Result<Self, Failure> {
        let line = arguments.to_vec();
        let mut given = Self { tool, command: None, options: Vec::new(), words: Vec::new(), line };
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                given.words.extend(arguments.by_ref().cloned());
                break;
            }
            let Some((name, attached)) = option_name(argument) else {
                given.take_word(argument)?;
                continue;
            };
            let option = given.find(name, argument)?;
            if let Served::No(why) = option.served {
                return Err(Failure::said(format!("{}: --{} is not served: {why}.", tool.name, option.name)));
            }
            let missing = || given.error(format!("Option {} requires an argument", option.name));
            let is_value = |next: &&String| !looks_like_option(next);
            match (option.takes, attached) {
                (Takes::Nothing, None) => given.options.push((option, None)),
                (Takes::Nothing, Some(_)) => return Err(given.error(format!("Option {name} takes no argument"))),
                (_, Some(value)) => given.options.push((option, Some(value.to_owned()))),
                (Takes::Value(_), None) => {
                    let value = arguments.next().ok_or_else(missing)?;
                    given.options.push((option, Some(value.clone())));
                }
                (Takes::Maybe(_), None) => {
                    let value = arguments.next_if(is_value).cloned();
                    given.options.push((option, value));
                }
                (Takes::Many(_), None) => {
                    let first = arguments.next().ok_or_else(missing)?;
                    given.options.push((option, Some(first.clone())));
                    while let Some(value) = arguments.next_if(is_value) {
                        given.options.push((option, Some(value.clone())));
                    }
                }
            }
        }
        Ok(given)
    }

    fn take_word(&mut self, word: &str) -> Result<(), Failure> {
        if self.tool.commands.is_empty() || self.command.is_some() {
            self.words.push(word.to_owned());
            return Ok(());
        }
        let command = self.tool.commands.iter().find(|command| command.name == word);
        let command = command.ok_or_else(|| {
            let names: Vec<_> = self.tool.commands.iter().map(|command| format!("'{}'", command.name)).collect();
            self.error(format!("invalid choice: '{word}' (choose from {})", names.join(", ")))
        })?;
        if let Served::No(why) = command.served {
            return Err(Failure::said(format!("{}: {word} is not served: {why}.", self.tool.name)));
        }
        self.command = Some(command);
        Ok(())
    }

    /// The option of this name; for argparse tools also by its letter or an unambiguous prefix.
    fn find(&self, name: &str, argument: &str) -> Result<&'static Opt, Failure> {
        let of_command = self.command.map_or(&[][..], |command| command.options);
        let all = || self.tool.options.iter().chain(of_command);
        let exact = all().find(|option| match argument.starts_with("--") {
            true => option.name == name,
            false => option.short.is_some_and(|letter| name.starts_with(letter) && name.len() == 1),
        });
        // joptsimple takes one dash for two.
        let one_dash = || all().find(|option| self.tool.style == Style::JoptSimple && option.name == name);
        if let Some(option) = exact.or_else(one_dash) {
            return Ok(option);
        }
        let begins = |option: &&Opt| argument.starts_with("--") && option.name.starts_with(name);
        let mut candidates = all().filter(begins).filter(|_| self.tool.style == Style::Argparse);
        match (candidates.next(), candidates.next()) {
            (Some(option), None) => Ok(option),
            (Some(_), Some(_)) => Err(self.error(format!("ambiguous option: {argument}"))),
            (None, _) => Err(self.error(match self.tool.style {
                Style::JoptSimple => format!("{name} is not a recognized option"),
                Style::Argparse => format!("unrecognized arguments: '{argument}'"),
            })),
        }
    }

    /// An error in the command line, as the tool's parser would put it.
    pub(super) fn error(&self, what: String) -> Failure {
        match self.tool.style {
            Style::JoptSimple => Failure::said(what),
            Style::Argparse => Failure::said(format!("{}: error: {what}", self.tool.name)),
        }
    }

    /// An error in the command line, followed by the options.
    pub(super) fn usage(&self, what: impl Into<String>) -> Failure {
        Failure::said(format!("{}\n{}", what.into(), self.tool.usage().trim_end()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        debug_assert!(self.knows(name), "{} has no option {name}", self.tool.name);
        self.options.iter().any(|(option, _)| option.name == name)
    }

    fn knows(&self, name: &str) -> bool {
        let of_commands = self.tool.commands.iter().flat_map(|command| command.options);
        self.tool.options.iter().chain(of_commands).any(|option| option.name == name)
    }

    /// The value of an option; the last one, when it was given more than once.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    /// All values of an option.
    pub(super) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        debug_assert!(self.knows(name), "{} has no option {name}", self.tool.name);
        let named = move |(option, value): &'_ &(&'static Opt, Option<String>)| option.name == name && value.is_some();
        self.options.iter().filter(named).filter_map(|(_, value)| value.as_deref())
    }

    /// What follows each of these options, in the order of the command line.
    pub(super) fn in_order(&self, names: &'static [&'static str]) -> impl Iterator<Item = Option<&str>> + Clone {
        self.options.iter().filter(|(option, _)| names.contains(&option.name)).map(|(_, value)| value.as_deref())
    }

    /// The value of an option as a number or another type.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |value: &str| {
            value.parse().map_err(|_| self.error(format!("Cannot parse argument '{value}' of option {name}")))
        };
        self.value(name).map(parse).transpose()
    }

    /// Refuses a command line that lacks one of these.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| !self.has(name)) {
            None => Ok(()),
            Some(name) => Err(match self.tool.style {
                Style::JoptSimple => self.usage(format!("Missing required argument \"[{name}]\"")),
                Style::Argparse => self.error(format!("argument --{name} is required")),
            }),
        }
    }

    /// Refuses a command line that has `name` together with one of `others`.
    pub(super) fn forbid_with(&self, name: &str, others: &[&str]) -> Result<(), Failure> {
        match others.iter().find(|other| self.has(name) && self.has(other)) {
            None => Ok(()),
            Some(other) => Err(self.usage(format!("Option \"[{name}]\" can't be used with option \"[{other}]\""))),
        }
    }

    /// The one of these options that was given; `None` when it is none or more than one.
    pub(super) fn only_one<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let mut given = names.iter().filter(|name| self.has(name));
        given.next().filter(|_| given.next().is_none()).copied()
    }
}

/// The name in `--name`, `-name` or `--name=value`, and the value behind the equals sign.
fn option_name(argument: &str) -> Option<(&str, Option<&str>)> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    if name.is_empty() {
        return None;
    }
    Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    })
}

/// A negative number is a value.
fn looks_like_option(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1 && word.parse::<f64>().is_err()
}

/// Reads `key=value` pairs; a key without a value has an empty one.
pub(super) fn pairs<'a>(values: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pair = |text: &'a str| text.split_once('=').unwrap_or((text, ""));
    values.map(pair).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Splits a list at commas; nothing between two is left out.
pub(super) fn list(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}
