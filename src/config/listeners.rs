//! Listeners: which addresses a node listens on, under which names, and what it tells others to connect to.

use std::collections::BTreeMap;

use super::endpoint::{Endpoint, SecurityProtocol};
use super::layers::Layers;
use super::node_config::ProcessRoles;
use super::static_config::StaticConfig;
use super::value::split_list;
use super::voters::parse_voters;

/// A listener of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub protocol: SecurityProtocol,
    /// Host from `advertised.listeners`, or of the endpoint itself unless that is a wildcard.
    pub advertised_host: Option<String>,
    /// Port from `advertised.listeners`, or of the endpoint itself; `None` means the port that was bound.
    pub advertised_port: Option<u16>,
}

/// All listeners of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenersConfig {
    /// For clients and other brokers; empty on a node that is only a controller.
    pub broker: Vec<Listener>,
    /// For controllers and for brokers that talk to them; `None` on a node that is only a broker.
    pub controller: Option<Listener>,
    /// Name of the listener that brokers use among themselves.
    pub inter_broker_listener_name: String,
}

/// Resolves the listeners, and says what is wrong with them.
pub(super) fn resolve(layers: Layers<'_>, roles: ProcessRoles, problems: &mut Vec<String>) -> ListenersConfig {
    Resolver { layers, roles, problems }.resolve()
}

struct Resolver<'a, 'p> {
    layers: Layers<'a>,
    roles: ProcessRoles,
    problems: &'p mut Vec<String>,
}

impl Resolver<'_, '_> {
    fn resolve(mut self) -> ListenersConfig {
        let controller_names: Vec<String> =
            self.layers.list("controller.listener.names").iter().map(|name| name.to_ascii_uppercase()).collect();
        let endpoints = self.own_endpoints(&controller_names);
        let advertised = self.endpoints("advertised.listeners");
        self.check_names(&endpoints, &advertised, &controller_names);
        self.check_addresses(&endpoints, &advertised);
        let protocols = self.protocols(&controller_names);
        let listeners: Vec<Listener> =
            endpoints.into_iter().map(|endpoint| self.listener(endpoint, &advertised, &protocols)).collect();
        let (controller, mut broker): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listener| controller_names.contains(&listener.endpoint.name));
        if !self.roles.broker {
            broker.clear();
        }
        let inter_broker_listener_name = self.inter_broker_name(&broker);
        ListenersConfig { broker, controller: controller.into_iter().next(), inter_broker_listener_name }
    }

    fn start(&self) -> &StaticConfig {
        self.layers.start
    }

    /// `listeners=... (server.properties:7)`, for sentences about what contradicts what.
    fn named(&self, name: &str) -> String {
        self.start().named(name)
    }

    fn endpoints(&mut self, key: &str) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        for item in self.layers.list(key) {
            match Endpoint::parse(&item) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(problem) => self.problems.push(format!("{}: {problem}", self.named(key))),
            }
        }
        endpoints
    }

    /// What `listeners` says, or the default; with a controller listener where the role needs one and nobody
    /// has said where it is to be.
    fn own_endpoints(&mut self, controller_names: &[String]) -> Vec<Endpoint> {
        let is_set = self.start().value("listeners").is_some();
        let mut endpoints = match (is_set, self.roles.broker) {
            (true, _) => self.endpoints("listeners"),
            (false, true) => self.endpoints_as_advertised().unwrap_or_else(|| vec![self.default_endpoint()]),
            (false, false) => Vec::new(),
        };
        let has_controller = endpoints.iter().any(|endpoint| controller_names.contains(&endpoint.name));
        if self.roles.controller && !has_controller {
            if is_set && self.start().value("controller.listener.names").is_some() {
                self.problems.push(format!(
                    "{} names none of {}: add one, such as {}://:9093",
                    self.named("listeners"),
                    self.named("controller.listener.names"),
                    controller_names.first().map_or("CONTROLLER", String::as_str)
                ));
            } else if let Some(name) = controller_names.first() {
                endpoints.push(self.added_controller_endpoint(name));
            }
        }
        endpoints
    }

    /// In an environment that gives `advertised.listeners` alone, Apache's and Confluent's images listen on every
    /// interface at the advertised ports. In a file it means what it means to Kafka: port 9092 stays.
    fn endpoints_as_advertised(&mut self) -> Option<Vec<Endpoint>> {
        let is_from_environment =
            matches!(self.start().origin("advertised.listeners"), Some(super::Origin::Environment { .. }));
        is_from_environment.then(|| {
            let everywhere = |endpoint: Endpoint| Endpoint { host: String::new(), ..endpoint };
            self.endpoints("advertised.listeners").into_iter().map(everywhere).collect()
        })
    }

    /// Without any configuration a node is for this machine only; with a file or environment, Kafka's default.
    fn default_endpoint(&self) -> Endpoint {
        let nothing_configured = self.start().settings().all(|(_, setting)| setting.origin == super::Origin::Override);
        let host = if nothing_configured { "localhost" } else { "" };
        Endpoint { name: "PLAINTEXT".to_owned(), host: host.to_owned(), port: 9092 }
    }

    /// Where the other voters expect this one; alone, a free port that only this machine sees.
    fn added_controller_endpoint(&self, name: &str) -> Endpoint {
        let node_id = self.layers.int("node.id");
        let voters = parse_voters(&self.layers.list("controller.quorum.voters"));
        let own = voters.ok().and_then(|voters| voters.into_iter().find(|voter| voter.node_id == node_id));
        match own {
            Some(voter) => Endpoint { name: name.to_owned(), host: String::new(), port: voter.port },
            None => Endpoint { name: name.to_owned(), host: "127.0.0.1".to_owned(), port: 0 },
        }
    }

    fn check_names(&mut self, endpoints: &[Endpoint], advertised: &[Endpoint], controller_names: &[String]) {
        for (index, endpoint) in endpoints.iter().enumerate() {
            if endpoints[..index].iter().any(|earlier| earlier.name == endpoint.name) {
                self.problems.push(format!("{} has the name {} twice", self.named("listeners"), endpoint.name));
            }
        }
        for endpoint in advertised {
            if !endpoints.iter().any(|own| own.name == endpoint.name) {
                self.problems.push(format!(
                    "{} has a listener {} that {} lacks",
                    self.named("advertised.listeners"),
                    endpoint.name,
                    self.named("listeners")
                ));
            }
        }
        let is_controllers = |endpoint: &&Endpoint| controller_names.contains(&endpoint.name);
        if !self.roles.controller
            && let Some(endpoint) = endpoints.iter().find(is_controllers)
        {
            self.problems.push(format!(
                "{} has the controller listener {}, but {} makes this node no controller",
                self.named("listeners"),
                endpoint.name,
                self.named("process.roles")
            ));
        }
        if self.roles.broker && endpoints.iter().all(|endpoint| is_controllers(&endpoint)) {
            self.problems.push(format!("{} leaves no listener for clients", self.named("listeners")));
        }
    }

    fn check_addresses(&mut self, endpoints: &[Endpoint], advertised: &[Endpoint]) {
        for (index, endpoint) in endpoints.iter().enumerate() {
            let clash = |earlier: &&Endpoint| {
                earlier.port == endpoint.port
                    && (earlier.host == endpoint.host || earlier.is_wildcard() || endpoint.is_wildcard())
            };
            if endpoint.port != 0
                && let Some(earlier) = endpoints[..index].iter().find(clash)
            {
                self.problems.push(format!(
                    "{}: {} and {} use the same port",
                    self.named("listeners"),
                    earlier.name,
                    endpoint.name
                ));
            }
        }
        // An empty host is the machine's own name; an address of every interface is nobody's.
        for endpoint in advertised.iter().filter(|endpoint| endpoint.is_wildcard() && !endpoint.host.is_empty()) {
            self.problems.push(format!(
                "{}: {endpoint} is no address that anybody could connect to",
                self.named("advertised.listeners")
            ));
        }
    }

    /// What each listener name speaks. A controller listener speaks PLAINTEXT where there is no map, as in Kafka, and
    /// where the map was written for a file that knew of none.
    fn protocols(&mut self, controller_names: &[String]) -> BTreeMap<String, SecurityProtocol> {
        let is_unset = |name: &str| self.start().value(name).is_none();
        let mut protocols: BTreeMap<String, SecurityProtocol> = controller_names
            .iter()
            .filter(|_| is_unset("listener.security.protocol.map") || is_unset("controller.listener.names"))
            .map(|name| (name.clone(), SecurityProtocol::from_name(name).unwrap_or(SecurityProtocol::Plaintext)))
            .collect();
        for item in split_list(&self.layers.text("listener.security.protocol.map").unwrap_or_default()) {
            let parsed = item.split_once(':').and_then(|(name, protocol)| {
                Some((name.trim().to_ascii_uppercase(), SecurityProtocol::from_name(protocol.trim())?))
            });
            match parsed {
                Some((name, protocol)) => _ = protocols.insert(name, protocol),
                None => self.problems.push(format!(
                    "{}: {item:?} is no NAME:PROTOCOL pair; the protocols are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL",
                    self.named("listener.security.protocol.map")
                )),
            }
        }
        protocols
    }

    fn listener(
        &mut self,
        endpoint: Endpoint,
        advertised: &[Endpoint],
        protocols: &BTreeMap<String, SecurityProtocol>,
    ) -> Listener {
        let protocol = protocols.get(&endpoint.name).copied().or_else(|| {
            self.problems.push(format!(
                "{} has a listener {} that {} does not mention",
                self.named("listeners"),
                endpoint.name,
                self.named("listener.security.protocol.map")
            ));
            None
        });
        let protocol = protocol.unwrap_or(SecurityProtocol::Plaintext);
        if protocol != SecurityProtocol::Plaintext {
            self.problems.push(format!(
                "{}: listener {} speaks {}, which this version does not serve; it starts with PLAINTEXT listeners \
                 only, and never falls back to them by itself",
                self.named("listeners"),
                endpoint.name,
                protocol.name()
            ));
        }
        let told = advertised.iter().find(|advertised| advertised.name == endpoint.name);
        let advertised_host = match told {
            Some(told) => Some(told.host.clone()).filter(|host| !host.is_empty()),
            None if endpoint.is_wildcard() => None,
            None => Some(endpoint.host.clone()),
        };
        let advertised_port = told.map_or(endpoint.port, |told| told.port);
        Listener {
            endpoint,
            protocol,
            advertised_host,
            advertised_port: Some(advertised_port).filter(|&port| port != 0),
        }
    }

    fn inter_broker_name(&mut self, broker: &[Listener]) -> String {
        let by_name = self.layers.text("inter.broker.listener.name").map(|name| name.to_ascii_uppercase());
        if by_name.is_some() && self.start().value("security.inter.broker.protocol").is_some() {
            self.problems.push(format!(
                "{} and {} both choose the listener between brokers; keep one of them",
                self.named("inter.broker.listener.name"),
                self.named("security.inter.broker.protocol")
            ));
        }
        let by_protocol = self.layers.text("security.inter.broker.protocol").unwrap_or_default();
        let is_chosen = |listener: &&Listener| match &by_name {
            Some(name) => listener.endpoint.name == *name,
            None => listener.endpoint.name == by_protocol,
        };
        if let Some(listener) = broker.iter().find(is_chosen) {
            return listener.endpoint.name.clone();
        }
        if let Some(name) = &by_name
            && self.roles.broker
        {
            self.problems.push(format!(
                "{} is none of {}",
                self.named("inter.broker.listener.name"),
                self.named("listeners")
            ));
            return name.clone();
        }
        // Kafka insists on a listener of that name; where nothing was said, the first one serves as well.
        broker.first().map(|listener| listener.endpoint.name.clone()).unwrap_or_default()
    }
}
