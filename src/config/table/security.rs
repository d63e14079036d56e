//! Authorisation, TLS and SASL; listeners that need them refuse to start.

use super::super::key::keys;
use super::reasons::{JVM_CLASS, SASL, SSL, TOKENS};

keys! {
    /// Class that decides who may do what.
    String "authorizer.class.name" = "";
        low, refused("Authorisation is not served yet, and a cluster must never be open by surprise.");
    /// Class that names who is behind a connection.
    Class "principal.builder.class" = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder";
        per_broker, refused(JVM_CLASS);
    /// How long a connection stays open after a failed authentication, in milliseconds.
    Int "connection.failed.authentication.delay.ms" = "100"; at_least(0), low, accepted(SASL);
    /// A SASL connection must authenticate anew after this many milliseconds.
    Long "connections.max.reauth.ms" = "0"; accepted(SASL);
    /// Secret that delegation tokens are signed with.
    Password "delegation.token.secret.key" = null; refused("Delegation tokens are not served.");
    /// How often expired delegation tokens are removed, in milliseconds.
    Long "delegation.token.expiry.check.interval.ms" = "3600000"; at_least(1), low, accepted(TOKENS);
    /// How long a delegation token is valid before it must be renewed, in milliseconds.
    Long "delegation.token.expiry.time.ms" = "86400000"; at_least(1), accepted(TOKENS);
    /// Longest life of a delegation token, in milliseconds.
    Long "delegation.token.max.lifetime.ms" = "604800000"; at_least(1), accepted(TOKENS);
    /// Whether a reloaded certificate may carry another distinguished name.
    Boolean "ssl.allow.dn.changes" = "false"; low, accepted(SSL);
    /// Whether a reloaded certificate may carry other alternative names.
    Boolean "ssl.allow.san.changes" = "false"; low, accepted(SSL);
    /// Cipher suites that may be used; all good ones when empty.
    List "ssl.cipher.suites" = ""; per_broker, accepted(SSL);
    /// Whether clients must show a certificate.
    String "ssl.client.auth" = "none"; one_of(&["required", "requested", "none"]), per_broker, accepted(SSL);
    /// TLS versions that may be used.
    List "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3"; per_broker, accepted(SSL);
    /// How the name in a server's certificate is checked.
    String "ssl.endpoint.identification.algorithm" = "https"; low, per_broker, accepted(SSL);
    /// Class that sets up TLS.
    Class "ssl.engine.factory.class" = null; low, per_broker, accepted(SSL);
    /// Password of the private key.
    Password "ssl.key.password" = null; per_broker, accepted(SSL);
    /// Java's algorithm for choosing keys.
    String "ssl.keymanager.algorithm" = "SunX509"; per_broker, accepted(SSL);
    /// Certificate chain in PEM.
    Password "ssl.keystore.certificate.chain" = null; per_broker, accepted(SSL);
    /// Private key in PEM.
    Password "ssl.keystore.key" = null; per_broker, accepted(SSL);
    /// File that holds the private key and its certificates.
    String "ssl.keystore.location" = null; per_broker, accepted(SSL);
    /// Password of the key store.
    Password "ssl.keystore.password" = null; per_broker, accepted(SSL);
    /// Format of the key store.
    String "ssl.keystore.type" = "JKS"; per_broker, accepted(SSL);
    /// Rules that turn a certificate's name into a principal.
    String "ssl.principal.mapping.rules" = "DEFAULT"; low, accepted(SSL);
    /// TLS version used by default.
    String "ssl.protocol" = "TLSv1.3"; per_broker, accepted(SSL);
    /// Java's provider for TLS.
    String "ssl.provider" = null; per_broker, accepted(SSL);
    /// Java's source of randomness for TLS.
    String "ssl.secure.random.implementation" = null; low, per_broker, accepted(SSL);
    /// Java's algorithm for checking certificates.
    String "ssl.trustmanager.algorithm" = "PKIX"; per_broker, accepted(SSL);
    /// Trusted certificates in PEM.
    Password "ssl.truststore.certificates" = null; per_broker, accepted(SSL);
    /// File that holds the trusted certificates.
    String "ssl.truststore.location" = null; per_broker, accepted(SSL);
    /// Password of the trust store.
    Password "ssl.truststore.password" = null; per_broker, accepted(SSL);
    /// Format of the trust store.
    String "ssl.truststore.type" = "JKS"; per_broker, accepted(SSL);
    /// Class that supplies credentials for outgoing SASL connections.
    Class "sasl.client.callback.handler.class" = null; accepted(SASL);
    /// SASL mechanisms that clients may use.
    List "sasl.enabled.mechanisms" = "GSSAPI"; per_broker, accepted(SASL);
    /// Login modules and credentials for SASL.
    Password "sasl.jaas.config" = null; per_broker, accepted(SASL);
    /// Path of Kerberos' kinit command.
    String "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit"; per_broker, accepted(SASL);
    /// Shortest time between two Kerberos logins, in milliseconds.
    Long "sasl.kerberos.min.time.before.relogin" = "60000"; per_broker, accepted(SASL);
    /// Rules that turn a Kerberos principal into a short name.
    List "sasl.kerberos.principal.to.local.rules" = "DEFAULT"; per_broker, accepted(SASL);
    /// Kerberos name of the service the broker runs as.
    String "sasl.kerberos.service.name" = null; per_broker, accepted(SASL);
    /// Random share added to the time at which a Kerberos ticket is renewed.
    Double "sasl.kerberos.ticket.renew.jitter" = "0.05"; per_broker, accepted(SASL);
    /// Share of a Kerberos ticket's life after which it is renewed.
    Double "sasl.kerberos.ticket.renew.window.factor" = "0.8"; per_broker, accepted(SASL);
    /// Class that handles SASL logins.
    Class "sasl.login.callback.handler.class" = null; accepted(SASL);
    /// Class that performs SASL logins.
    Class "sasl.login.class" = null; accepted(SASL);
    /// How long connecting to a login provider may take, in milliseconds.
    Int "sasl.login.connect.timeout.ms" = null; low, accepted(SASL);
    /// How long reading from a login provider may take, in milliseconds.
    Int "sasl.login.read.timeout.ms" = null; low, accepted(SASL);
    /// How long before its end a credential is refreshed, in seconds.
    Short "sasl.login.refresh.buffer.seconds" = "300"; per_broker, accepted(SASL);
    /// Shortest time between two refreshes of a credential, in seconds.
    Short "sasl.login.refresh.min.period.seconds" = "60"; per_broker, accepted(SASL);
    /// Share of a credential's life after which it is refreshed.
    Double "sasl.login.refresh.window.factor" = "0.8"; per_broker, accepted(SASL);
    /// Random share added to the time at which a credential is refreshed.
    Double "sasl.login.refresh.window.jitter" = "0.05"; per_broker, accepted(SASL);
    /// Longest pause between two tries to log in, in milliseconds.
    Long "sasl.login.retry.backoff.max.ms" = "10000"; low, accepted(SASL);
    /// First pause between two tries to log in, in milliseconds.
    Long "sasl.login.retry.backoff.ms" = "100"; low, accepted(SASL);
    /// SASL mechanism used with the controllers.
    String "sasl.mechanism.controller.protocol" = "GSSAPI"; high, accepted(SASL);
    /// SASL mechanism used between brokers.
    String "sasl.mechanism.inter.broker.protocol" = "GSSAPI"; per_broker, accepted(SASL);
    /// Class that checks credentials on the server.
    Class "sasl.server.callback.handler.class" = null; accepted(SASL);
    /// Largest message in bytes during SASL authentication.
    Int "sasl.server.max.receive.size" = "524288"; accepted(SASL);
}
