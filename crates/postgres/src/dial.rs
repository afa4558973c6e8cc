//! From an address to a socket; kept, so that a cancel request finds the same server again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::MakeTlsConnect;

use crate::settings::{ConnectSettings, Endpoint, Keepalives, RequireAuth};
use crate::tap::{Tap, TapHandle, TappedTls};
use crate::tls::Connector;
use crate::wire::Guard;

/// The connector of one attempt.
pub(crate) type Encryption = TappedTls<<Connector as MakeTlsConnect<Socket>>::TlsConnect>;

/// How one server is reached.
#[derive(Clone)]
pub(crate) struct Dial {
    place: Place,
    /// The name that a certificate has to have.
    host: String,
    connector: Connector,
    keepalives: Keepalives,
    tcp_user_timeout: Option<Duration>,
    require_auth: RequireAuth,
    /// Whether the server is asked for TLS before anything else.
    asks_for_tls: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Dial {
    /// To an address of an endpoint; `None` for a Unix socket.
    pub(crate) fn new(
        settings: &ConnectSettings,
        endpoint: &Endpoint,
        address: Option<IpAddr>,
        connector: &Connector,
        asks_for_tls: bool,
    ) -> Self {
        let place = match address {
            Some(address) => Place::Tcp(SocketAddr::new(address, endpoint.port)),
            None => Place::Unix(format!("{}/.s.PGSQL.{}", endpoint.host, endpoint.port).into()),
        };
        Dial {
            place,
            host: endpoint.host.clone(),
            connector: connector.clone(),
            keepalives: settings.keepalives,
            tcp_user_timeout: settings.tcp_user_timeout,
            require_auth: settings.require_auth.clone(),
            asks_for_tls,
        }
    }

    /// A connected socket whose rows of copies go to the tap's reader.
    pub(crate) async fn socket(&self, tap: TapHandle) -> io::Result<Tap<Socket>> {
        let socket = match &self.place {
            Place::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                self.set_options(&stream)?;
                Socket::Tcp(stream)
            }
        };
        Ok(Tap::new(socket, tap, Guard::new(self.asks_for_tls, self.require_auth.clone())))
    }

    fn set_options(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        #[cfg(target_os = "linux")]
        if let Some(timeout) = self.tcp_user_timeout {
            socket.set_tcp_user_timeout(Some(timeout))?;
        }
        let Keepalives { enabled, idle, interval, count } = self.keepalives;
        if enabled {
            let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(count);
            socket.set_tcp_keepalive(&keepalive)?;
        }
        Ok(())
    }

    /// What encrypts such a socket.
    pub(crate) fn encryption(&self) -> io::Result<Encryption> {
        let connector = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.connector.clone(), &self.host);
        connector.map(TappedTls).map_err(io::Error::other)
    }
}

/// A socket of either family.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
