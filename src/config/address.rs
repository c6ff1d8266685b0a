//! `host:port`, as listeners are configured.

use std::fmt;

/// Where a listener binds: a host name or address and a port. An empty host becomes `0.0.0.0`, all interfaces.
///
/// Kept as text and not as a `SocketAddr`, because names (`localhost:4317`) are resolved when the listener binds:
/// `TcpListener::bind((address.host.as_str(), address.port))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Host name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl ListenAddress {
    /// The port on every interface: what a listener without an `endpoint` gets ("spec/ingest.md §1.1", → P).
    pub fn all_interfaces(port: u16) -> Self {
        ListenAddress { host: "0.0.0.0".to_owned(), port }
    }

    /// The host, or every interface if it is empty, with the port.
    pub fn new(host: &str, port: u16) -> Self {
        if host.is_empty() { Self::all_interfaces(port) } else { ListenAddress { host: host.to_owned(), port } }
    }

    /// Reads `host:port`, `:port`, `[v6]:port`.
    ///
    /// # Errors
    /// A message in the words of Go's `net.SplitHostPort` for a missing port, a bad port, or an IPv6 address without
    /// brackets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("address {text}: missing port in address"));
        };
        let port = port.parse().map_err(|_| format!("address {text}: invalid port"))?;
        let unbracketed = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(|| format!("address {text}: missing ']' in address"))?,
            None if host.contains(':') => return Err(format!("address {text}: too many colons in address")),
            None => host,
        };
        Ok(Self::new(unbracketed, port))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, host, port, printed) in [
            ("0.0.0.0:4317", "0.0.0.0", 4317, "0.0.0.0:4317"),
            (":9411", "0.0.0.0", 9411, "0.0.0.0:9411"),
            ("localhost:0", "localhost", 0, "localhost:0"),
            ("[::]:4318", "::", 4318, "[::]:4318"),
        ] {
            let address = ListenAddress::parse(text).expect(text);
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), printed);
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "4317", "localhost", "localhost:", "host:70000", "::1:4317", "[::1:4317", "host:x"] {
            assert!(ListenAddress::parse(text).is_err(), "{text}");
        }
    }
}
