//! The URL of a store: what libpq reads from such a URL, from its environment and from its
//! files, and this package's own parameters.

use std::env;
use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::postgres::libpq;

/// The schema of a store whose URL names none.
const SCHEMA: &str = "oasis_data";

/// How far a server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Not at all: as libpq, where there is no root certificate.
    Nothing,
    /// Whether an authority has signed it.
    Authority,
    /// That, and whether it is that host's.
    Host,
}

/// What a URL says. Neither `Debug` nor an error has any of it.
pub(crate) struct Address {
    /// For the library: hosts, user, password, database.
    pub(crate) config: Config,
    /// The schema of the tables.
    pub(crate) schema: String,
    /// Whether statements are prepared by name, and the session is the server's own. Nothing: as
    /// it is safe on each connection.
    pub(crate) prepare: Option<bool>,
    /// How far the server's certificate is checked.
    pub(crate) verify: Verify,
    /// The file with the certificates of authorities.
    pub(crate) roots: Option<PathBuf>,
    passwords: Option<PathBuf>,
}

impl Debug for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// What is wrong, in words without the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let is_url = url.starts_with("postgresql://") || url.starts_with("postgres://");
        if !is_url {
            return Err("does not begin with postgresql://".to_owned());
        }
        let (start, query) = url.split_once('?').unwrap_or((url, ""));
        let mut own = Own::default();
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("has a parameter without a value")?;
            if !own.take(name, &unescaped(value)?)? {
                kept.push(pair);
            }
        }
        let rest =
            if kept.is_empty() { start.to_owned() } else { format!("{start}?{}", kept.join("&")) };
        let mut config = Config::from_str(&rest).map_err(|_| malformed(&kept))?;
        if let Some(service) = own.service.take().or_else(|| variable("PGSERVICE")) {
            apply(libpq::service(&service)?, &mut config, &mut own)?;
        }
        own.finish(config)
    }

    /// All of it, secrets too, as a text to be compared.
    pub(crate) fn meaning(&self) -> String {
        let Self { config, schema, prepare, verify, roots, passwords } = self;
        let password = config.get_password();
        format!("{config:?} {password:?} {schema} {prepare:?} {verify:?} {roots:?} {passwords:?}")
    }

    /// The settings for one host, with the password that is meant for it.
    pub(crate) fn for_host(&self, host: &Host, port: u16) -> Config {
        let mut config = self.config.clone();
        if matches!(host, Host::Unix(_)) {
            // As libpq: what does not leave this host is not encrypted.
            config.ssl_mode(SslMode::Disable);
        }
        if config.get_password().is_none() {
            let user = config.get_user().map_or_else(libpq::user_name, str::to_owned);
            let database = config.get_dbname().unwrap_or(&user).to_owned();
            let host = match host {
                Host::Tcp(name) => name.clone(),
                // As libpq: whatever the folder, the host of a socket is this one.
                Host::Unix(_) => "localhost".to_owned(),
            };
            let found = self.passwords.as_deref().and_then(|file| {
                libpq::password(file, &[&host, &port.to_string(), &database, &user])
            });
            if let Some(password) = found {
                config.password(password);
            }
        }
        config
    }
}

/// The parameters that the library does not know.
#[derive(Default)]
struct Own {
    schema: Option<String>,
    prepare: Option<bool>,
    ssl_mode: Option<String>,
    roots: Option<String>,
    passwords: Option<String>,
    service: Option<String>,
}

impl Own {
    /// Takes a parameter, if it is one of these.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let value = value.to_owned();
        match name {
            "schema" => self.schema = Some(value),
            "prepare" => {
                self.prepare = Some(match value.as_str() {
                    "on" => true,
                    "off" => false,
                    _ => return Err("has prepare= with a value other than on and off".to_owned()),
                });
            }
            "sslmode" => self.ssl_mode = Some(value),
            "sslrootcert" => self.roots = Some(value),
            "passfile" => self.passwords = Some(value),
            "service" => self.service = Some(value),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a parameter of a service, if the URL does not have it.
    fn take_unless_given(&mut self, name: &str, value: &str) {
        let place = match name {
            "sslmode" => &mut self.ssl_mode,
            "sslrootcert" => &mut self.roots,
            _ => &mut self.passwords,
        };
        place.get_or_insert_with(|| value.to_owned());
    }

    fn finish(self, mut config: Config) -> Result<Address, String> {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            match variable("PGHOST") {
                Some(host) => config.host(host),
                None => config.host("localhost"),
            };
        }
        if let (None, Some(password)) = (config.get_password(), variable("PGPASSWORD")) {
            config.password(password);
        }
        let mode = self.ssl_mode.or_else(|| variable("PGSSLMODE"));
        let roots = self.roots.or_else(|| variable("PGSSLROOTCERT")).map(PathBuf::from);
        let roots = roots.or_else(|| {
            Some(libpq::home()?.join(".postgresql/root.crt")).filter(|file| file.exists())
        });
        // As libpq: `require` looks at the authority where there is a file of authorities.
        let required = if roots.is_some() { Verify::Authority } else { Verify::Nothing };
        let (ssl, verify) = match mode.as_deref() {
            Some("disable") => (SslMode::Disable, Verify::Nothing),
            None | Some("allow" | "prefer") => (SslMode::Prefer, Verify::Nothing),
            Some("require") => (SslMode::Require, required),
            Some("verify-ca") => (SslMode::Require, Verify::Authority),
            Some("verify-full") => (SslMode::Require, Verify::Host),
            Some(_) => return Err("has an sslmode that libpq does not know".to_owned()),
        };
        config.ssl_mode(ssl);
        let schema = self.schema.unwrap_or_else(|| SCHEMA.to_owned());
        if schema.is_empty() || schema.len() > 63 || schema.contains('\0') {
            return Err("has a schema= that is no name of a schema".to_owned());
        }
        let passwords = self.passwords.or_else(|| variable("PGPASSFILE")).map(PathBuf::from);
        Ok(Address {
            config,
            schema,
            prepare: self.prepare,
            verify,
            roots,
            passwords: passwords.or_else(|| Some(libpq::home()?.join(".pgpass"))),
        })
    }
}

/// Adds what a service tells; what the URL says itself stays.
fn apply(service: Vec<(String, String)>, config: &mut Config, own: &mut Own) -> Result<(), String> {
    let unusable = |name: &str| format!("names a service whose {name} cannot be used");
    for (name, value) in service {
        match name.as_str() {
            "host" if config.get_hosts().is_empty() => {
                value.split(',').for_each(|host| {
                    config.host(host);
                });
            }
            "hostaddr" if config.get_hostaddrs().is_empty() => {
                for address in value.split(',') {
                    config.hostaddr(address.parse().map_err(|_| unusable(&name))?);
                }
            }
            "port" if config.get_ports().is_empty() => {
                for port in value.split(',') {
                    config.port(port.parse().map_err(|_| unusable(&name))?);
                }
            }
            "user" if config.get_user().is_none() => {
                config.user(value);
            }
            "password" if config.get_password().is_none() => {
                config.password(value);
            }
            "dbname" if config.get_dbname().is_none() => {
                config.dbname(value);
            }
            "connect_timeout" if config.get_connect_timeout().is_none() => {
                let seconds = value.parse().map_err(|_| unusable(&name))?;
                config.connect_timeout(Duration::from_secs(seconds));
            }
            "sslmode" | "sslrootcert" | "passfile" => own.take_unless_given(&name, &value),
            _ => {}
        }
    }
    Ok(())
}

fn malformed(kept: &[&str]) -> String {
    let names: Vec<&str> = kept.iter().filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    if names.is_empty() {
        "cannot be read as a URL of PostgreSQL".to_owned()
    } else {
        format!("cannot be read as a URL of PostgreSQL with the parameters {}", names.join(", "))
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A value of a URL without its percent signs.
fn unescaped(value: &str) -> Result<String, String> {
    let broken = || "has a percent sign without two digits".to_owned();
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
        let digits = std::str::from_utf8(digits).map_err(|_| broken())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "has a value that is not UTF-8".to_owned())
}

/// The path of the socket in a folder.
pub(crate) fn socket_path(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}
