//! `kafka-acls`: not served yet.

use super::failure::Failure;
use super::options::{BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};

const WHY: &str = "Ottla's brokers have no ACLs yet";

const fn refused(name: &'static str, value: &'static str, about: &'static str) -> Opt {
    Opt::value(name, value, about).not_served(WHY)
}

const fn refused_flag(name: &'static str, about: &'static str) -> Opt {
    Opt::flag(name, about).not_served(WHY)
}

pub(super) static TOOL: Tool = Tool {
    name: "kafka-acls",
    about: "This tool helps to manage acls on kafka.",
    style: Style::JoptSimple,
    options: &[
        refused_flag("add", "Adds ACLs."),
        refused("allow-host", "host", "From where."),
        refused("allow-principal", "principal", "Who may."),
        BOOTSTRAP_CONTROLLER,
        BOOTSTRAP_SERVER,
        refused_flag("cluster", "The cluster's ACLs."),
        COMMAND_CONFIG,
        refused_flag("consumer", "What a consumer needs."),
        refused("delegation-token", "token", "The delegation token's ACLs."),
        refused("deny-host", "host", "From where not."),
        refused("deny-principal", "principal", "Who may not."),
        refused_flag("force", "Does not ask."),
        refused("group", "group", "The group's ACLs."),
        HELP,
        refused_flag("idempotent", "What an idempotent producer needs."),
        refused_flag("list", "Lists ACLs."),
        refused("operation", "operation", "What may be done."),
        refused("principal", "principal", "Whose ACLs to list."),
        refused_flag("producer", "What a producer needs."),
        refused_flag("remove", "Removes ACLs."),
        refused("resource-pattern-type", "type", "How names are matched."),
        refused("topic", "topic", "The topic's ACLs."),
        refused("transactional-id", "id", "The transactional id's ACLs."),
        refused("user-principal", "user", "The user's ACLs."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    Err(given.usage("Command must include exactly one action: --list, --add, --remove. "))
}
