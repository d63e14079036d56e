//! SASL/OAUTHBEARER, which is not served.

use super::super::key::keys;
use super::reasons::SASL;

keys! {
    /// Algorithm that a client assertion is signed with.
    String "sasl.oauthbearer.assertion.algorithm" = "RS256"; one_of_ignoring_case(&["ES256", "RS256"]), accepted(SASL);
    /// Audience claim of a client assertion.
    String "sasl.oauthbearer.assertion.claim.aud" = null; accepted(SASL);
    /// Seconds until a client assertion expires.
    Int "sasl.oauthbearer.assertion.claim.exp.seconds" = "300"; between(0, 86_400), low, accepted(SASL);
    /// Issuer claim of a client assertion.
    String "sasl.oauthbearer.assertion.claim.iss" = null; accepted(SASL);
    /// Whether a client assertion carries an id of its own.
    Boolean "sasl.oauthbearer.assertion.claim.jti.include" = "false"; accepted(SASL);
    /// Seconds a client assertion is valid before it was made.
    Int "sasl.oauthbearer.assertion.claim.nbf.seconds" = "60"; between(0, 3600), low, accepted(SASL);
    /// Subject claim of a client assertion.
    String "sasl.oauthbearer.assertion.claim.sub" = null; accepted(SASL);
    /// File that holds a ready client assertion.
    String "sasl.oauthbearer.assertion.file" = null; accepted(SASL);
    /// File that holds the key a client assertion is signed with.
    String "sasl.oauthbearer.assertion.private.key.file" = null; accepted(SASL);
    /// Password of the key a client assertion is signed with.
    Password "sasl.oauthbearer.assertion.private.key.passphrase" = null; accepted(SASL);
    /// File that holds a template for client assertions.
    String "sasl.oauthbearer.assertion.template.file" = null; accepted(SASL);
    /// Client id for fetching a token.
    String "sasl.oauthbearer.client.credentials.client.id" = null; accepted(SASL);
    /// Client secret for fetching a token.
    Password "sasl.oauthbearer.client.credentials.client.secret" = null; accepted(SASL);
    /// How many seconds two clocks may differ when a token is checked.
    Int "sasl.oauthbearer.clock.skew.seconds" = "30"; low, accepted(SASL);
    /// Audiences of which a token must name one.
    List "sasl.oauthbearer.expected.audience" = ""; high, accepted(SASL);
    /// Issuer that a token must name.
    String "sasl.oauthbearer.expected.issuer" = null; high, accepted(SASL);
    /// How often the keys for checking tokens are fetched, in milliseconds.
    Long "sasl.oauthbearer.jwks.endpoint.refresh.ms" = "3600000"; low, accepted(SASL);
    /// Longest pause between two tries to fetch the keys, in milliseconds.
    Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = "10000"; low, accepted(SASL);
    /// First pause between two tries to fetch the keys, in milliseconds.
    Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = "100"; low, accepted(SASL);
    /// Where the keys for checking tokens are fetched.
    String "sasl.oauthbearer.jwks.endpoint.url" = null; accepted(SASL);
    /// Class that fetches tokens.
    Class "sasl.oauthbearer.jwt.retriever.class" = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever";
        accepted(SASL);
    /// Class that checks tokens.
    Class "sasl.oauthbearer.jwt.validator.class" = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator";
        accepted(SASL);
    /// Scope asked for with a token.
    String "sasl.oauthbearer.scope" = null; accepted(SASL);
    /// Name of the claim that holds a token's scope.
    String "sasl.oauthbearer.scope.claim.name" = "scope"; low, accepted(SASL);
    /// Name of the claim that holds a token's subject.
    String "sasl.oauthbearer.sub.claim.name" = "sub"; low, accepted(SASL);
    /// Where tokens are fetched.
    String "sasl.oauthbearer.token.endpoint.url" = null; accepted(SASL);
}
