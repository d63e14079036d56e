//! What is known about one property key: its type, default, range, scope, and what this broker does with it.
//!
//! A key is declared once, in a `keys!` table under `table/`. Everything else (parsing, validation,
//! DescribeConfigs, the typed structs) reads that declaration.

/// The type of a key's value. The numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
#[allow(missing_docs, reason = "Kafka's own type names")]
pub enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

impl ConfigType {
    /// The number in a DescribeConfigs response.
    pub fn code(self) -> i8 {
        self as i8
    }

    /// Kafka's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }
}

/// Which values of the type are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValidValues {
    /// Every value of the type.
    Any,
    /// Numbers from this one up.
    AtLeast(i64),
    /// Numbers from the first to the second, both included.
    Between(i64, i64),
    /// Numbers from the first to the second, both included, or exactly the third.
    BetweenOr(i64, i64, i64),
    /// Real numbers from 0 to this one, both included.
    Fraction(f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list whose items are each one of these.
    EachOf(&'static [&'static str]),
    /// Any text but the empty one.
    NonEmpty,
    /// `*`, or a list of partition:broker.
    ThrottledReplicas,
}

/// Whether and how a broker key changes while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateMode {
    /// Only by a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or for all of them.
    ClusterWide,
}

/// How much a key matters, in Kafka's judgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// What this broker does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// The value acts.
    InForce,
    /// The value is taken, checked and shown, and changes nothing; the text says why that does no harm.
    Accepted(&'static str),
    /// Any other value than the default is refused; the text says why.
    Refused(&'static str),
}

/// One declared key.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Kafka's own string.
    pub name: &'static str,
    /// Type of the value.
    pub config_type: ConfigType,
    /// Default in canonical form; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values are allowed.
    pub valid: ValidValues,
    /// When it may change.
    pub update_mode: UpdateMode,
    /// How much it matters.
    pub importance: Importance,
    /// Internal keys work but DescribeConfigs does not list them.
    pub internal: bool,
    /// What this broker does with it.
    pub status: Status,
    /// Of a topic key (or a group's): the broker key that supplies its default.
    pub broker_key: Option<&'static str>,
    /// Keys that supply the value when this one is not set, finest unit first, each with the factor from
    /// its unit to this key's.
    pub stand_ins: &'static [(&'static str, i64)],
    pub(super) raw_documentation: &'static str,
}

impl ConfigKey {
    /// One or two sentences on what the key does.
    pub fn documentation(&self) -> &'static str {
        self.raw_documentation.trim_start()
    }

    /// True when the value must never be shown.
    pub fn is_sensitive(&self) -> bool {
        self.config_type == ConfigType::Password
    }

    pub(super) const fn new(
        name: &'static str,
        config_type: ConfigType,
        default: Option<&'static str>,
        raw_documentation: &'static str,
    ) -> Self {
        Self {
            name,
            config_type,
            default,
            valid: ValidValues::Any,
            update_mode: UpdateMode::ReadOnly,
            importance: Importance::Medium,
            internal: false,
            status: Status::InForce,
            broker_key: None,
            stand_ins: &[],
            raw_documentation,
        }
    }

    const fn valid(mut self, valid: ValidValues) -> Self {
        self.valid = valid;
        self
    }

    pub(super) const fn at_least(self, minimum: i64) -> Self {
        self.valid(ValidValues::AtLeast(minimum))
    }

    pub(super) const fn between(self, minimum: i64, maximum: i64) -> Self {
        self.valid(ValidValues::Between(minimum, maximum))
    }

    pub(super) const fn between_or(self, minimum: i64, maximum: i64, special: i64) -> Self {
        self.valid(ValidValues::BetweenOr(minimum, maximum, special))
    }

    pub(super) const fn fraction(self, maximum: f64) -> Self {
        self.valid(ValidValues::Fraction(maximum))
    }

    pub(super) const fn one_of(self, values: &'static [&'static str]) -> Self {
        self.valid(ValidValues::OneOf(values))
    }

    pub(super) const fn one_of_ignoring_case(self, values: &'static [&'static str]) -> Self {
        self.valid(ValidValues::OneOfIgnoringCase(values))
    }

    pub(super) const fn each_of(self, values: &'static [&'static str]) -> Self {
        self.valid(ValidValues::EachOf(values))
    }

    pub(super) const fn non_empty(self) -> Self {
        self.valid(ValidValues::NonEmpty)
    }

    pub(super) const fn throttled_replicas(self) -> Self {
        self.valid(ValidValues::ThrottledReplicas)
    }

    pub(super) const fn high(mut self) -> Self {
        self.importance = Importance::High;
        self
    }

    pub(super) const fn low(mut self) -> Self {
        self.importance = Importance::Low;
        self
    }

    pub(super) const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    pub(super) const fn per_broker(mut self) -> Self {
        self.update_mode = UpdateMode::PerBroker;
        self
    }

    pub(super) const fn cluster_wide(mut self) -> Self {
        self.update_mode = UpdateMode::ClusterWide;
        self
    }

    pub(super) const fn broker_key(mut self, name: &'static str) -> Self {
        self.broker_key = Some(name);
        self
    }

    pub(super) const fn stand_ins(mut self, names: &'static [(&'static str, i64)]) -> Self {
        self.stand_ins = names;
        self
    }

    pub(super) const fn in_force(self) -> Self {
        self
    }

    pub(super) const fn accepted(mut self, why: &'static str) -> Self {
        self.status = Status::Accepted(why);
        self
    }

    pub(super) const fn refused(mut self, why: &'static str) -> Self {
        self.status = Status::Refused(why);
        self
    }
}

/// Declares a table of keys, each as
///
/// ```text
/// /// Documentation.
/// Type "key" = "default" (or null); attribute, attribute(argument), status;
/// ```
///
/// where the attributes are the `const` methods above. Importance is medium and the key read-only unless said.
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $kind:ident $name:literal = $default:tt;
       $($attribute:ident $(($($argument:expr),+))?),+;)*) => {
        pub(super) const KEYS: &[crate::config::ConfigKey] = &[
            $(crate::config::ConfigKey::new(
                $name,
                crate::config::ConfigType::$kind,
                crate::config::key::keys!(@default $default),
                concat!($($doc),+),
            )$(.$attribute($($($argument),+)?))+,)*
        ];
    };
    (@default null) => { None };
    (@default $default:literal) => { Some($default) };
}
pub(super) use keys;
