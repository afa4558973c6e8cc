//! What a server may send: how much of it, and which way of logging in it may ask for.
//!
//! Nothing that arrives is trusted before it is measured. A [`Guard`] sees the header of each
//! message before anybody takes memory for its body, and every request for a password before the
//! driver answers it.
//!
//! Source: PostgreSQL documentation, "Message Formats"; src/interfaces/libpq/fe-protocol3.c,
//! `pqParseInput3` (which messages may be long); fe-auth.c, `check_expected_areq`.

use crate::settings::{AuthMethod, RequireAuth};

/// The most of one message, and of all together, until the server is ready for the first query.
const LOGIN_MESSAGE_BYTES: usize = 64 << 10;
const LOGIN_BYTES: usize = 1 << 20;
/// The most of all answers to the first queries of a session, which set and read some fifty settings.
pub(crate) const OPENING_BYTES: usize = 1 << 20;
/// A message of rows: the server builds each in one piece of memory, which holds less than this.
const ROW_MESSAGE_BYTES: usize = 1 << 30;
/// An error or a notice, which may quote a statement or a value.
const WORDS_MESSAGE_BYTES: usize = 64 << 20;
/// The description of columns or parameters: 65,535 parameters or 1,664 columns with their names.
const DESCRIPTION_MESSAGE_BYTES: usize = 1 << 20;
/// Anything else. libpq takes 30,000 bytes.
const SHORT_MESSAGE_BYTES: usize = 64 << 10;

/// Type byte and length.
pub(crate) const HEADER_BYTES: usize = 5;
/// The body of the shortest request for a way of logging in: which one.
const AUTHENTICATION_CODE_BYTES: usize = 4;
/// The request that says how often the password is to be hashed.
const SASL_CONTINUE: u32 = 11;
/// The most often that the driver does it, in one go: a tenth of a second at most. Servers take 4,096 unless
/// `scram_iterations` says otherwise.
const MOST_SCRAM_ITERATIONS: u64 = 100_000;

pub(crate) const COPY_DATA: u8 = b'd';
pub(crate) const READY_FOR_QUERY: u8 = b'Z';
const AUTHENTICATION: u8 = b'R';

/// A server that breaks the protocol, or wants what it may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A message that is longer than any of its type can be.
    #[error(
        "the server announced a message of type {kind:?} and {bytes} bytes, and at most {limit_bytes} are \
         accepted{}: it is no PostgreSQL server, or a hostile one", login_words(*.is_login)
    )]
    TooLong {
        /// The type of the message.
        kind: char,
        /// How long it claims to be.
        bytes: u64,
        /// The most that is accepted.
        limit_bytes: usize,
        /// Whether this came before the login was over.
        is_login: bool,
    },
    /// A length that no message has.
    #[error("the server announced a message of type {kind:?} with the length {length}, which no message has")]
    ImpossibleLength {
        /// The type of the message.
        kind: char,
        /// The length as sent.
        length: i32,
    },
    /// A login that does not end.
    #[error(
        "the server sent more than {limit_bytes} bytes and was still not ready for a query: it is no \
         PostgreSQL server, or a hostile one"
    )]
    EndlessLogin {
        /// The most that is accepted.
        limit_bytes: usize,
    },
    /// Answers to our first queries that do not end.
    #[error(
        "the server sent more than {limit_bytes} bytes in answer to the first queries of a session, which ask for \
         settings: it is no PostgreSQL server, or a hostile one"
    )]
    EndlessOpening {
        /// The most that is accepted.
        limit_bytes: usize,
    },
    /// Bytes that somebody on the way may have put in front of an encrypted connection.
    #[error(
        "the server sent unencrypted bytes after it had agreed to TLS: someone between here and the server \
         may be changing what is sent"
    )]
    BytesBeforeTls,
    /// An answer to the request for TLS that is none.
    #[error("the server answered the request for TLS with an error or something else than yes or no")]
    NoAnswerToTls,
    /// A way of logging in that `require_auth` rules out.
    #[error("require_auth={required} does not allow this: the server {wanted}")]
    AuthNotAllowed {
        /// The value of `require_auth`.
        required: String,
        /// What the server wanted.
        wanted: &'static str,
    },
    /// A request to hash the password so often that it would keep a processor busy for long.
    #[error(
        "the server asks for {iterations} iterations of SCRAM, and at most {MOST_SCRAM_ITERATIONS} are accepted: \
         set scram_iterations lower there and set the password again, or log in by a certificate"
    )]
    TooManyIterations {
        /// How often.
        iterations: u64,
    },
    /// A way of logging in that is not spoken here.
    #[error(
        "the server {wanted}, which dbhaul does not support: use a password (scram-sha-256) or a certificate"
    )]
    AuthUnsupported {
        /// What the server wanted.
        wanted: &'static str,
    },
}

fn login_words(is_login: bool) -> &'static str {
    if is_login { " before the login is over" } else { "" }
}

impl WireError {
    /// Whether this is about the way of logging in.
    pub(crate) fn is_about_login(&self) -> bool {
        use WireError::{AuthNotAllowed, AuthUnsupported, TooManyIterations};
        matches!(self, AuthNotAllowed { .. } | AuthUnsupported { .. } | TooManyIterations { .. })
    }

    /// The error that the driver passes on.
    pub(crate) fn into_io(self) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, self)
    }

    /// Finds one in an error that the driver passed on.
    pub(crate) fn find(io: &std::io::Error) -> Option<&Self> {
        io.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// One byte is awaited that says whether the server has TLS.
    Tls,
    /// Until the server is ready for the first query.
    Login {
        /// How many bytes came so far.
        bytes: usize,
        /// Whether the server has asked for a proof of who we are.
        was_asked: bool,
    },
    /// Logged in.
    Open,
}

const LOGIN: Stage = Stage::Login { bytes: 0, was_asked: false };

/// Measures what arrives on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    stage: Stage,
    require_auth: RequireAuth,
}

impl Guard {
    /// For a connection on which TLS is asked for first, or is not.
    pub(crate) fn new(asks_for_tls: bool, require_auth: RequireAuth) -> Self {
        Guard { stage: if asks_for_tls { Stage::Tls } else { LOGIN }, require_auth }
    }

    /// The same for the encrypted connection that begins now.
    pub(crate) fn encrypted(self) -> Self {
        Guard { stage: LOGIN, ..self }
    }

    /// Whether the login is over.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether this byte is the answer to the request for TLS, which is no message.
    pub(crate) fn takes_tls_answer(&mut self, byte: u8) -> Result<bool, WireError> {
        if self.stage != Stage::Tls {
            return Ok(false);
        }
        if !matches!(byte, b'S' | b'N') {
            return Err(WireError::NoAnswerToTls);
        }
        self.stage = LOGIN;
        Ok(true)
    }

    /// Type and whole length of the message at the front, which is to be asked for once for each; nothing
    /// if that is not there yet.
    pub(crate) fn admit(&mut self, bytes: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
        let Some(header) = header(bytes) else { return Ok(None) };
        let message_bytes = self.measured(header)?;
        if header.kind == AUTHENTICATION && !self.is_open() {
            let Some(code) = bytes[HEADER_BYTES..].first_chunk::<AUTHENTICATION_CODE_BYTES>() else {
                return Ok(None);
            };
            let code = u32::from_be_bytes(*code);
            if code == SASL_CONTINUE {
                let Some(message) = bytes.get(HEADER_BYTES + AUTHENTICATION_CODE_BYTES..message_bytes) else {
                    return Ok(None);
                };
                check_iterations(message)?;
            }
            self.check_authentication(code)?;
        }
        self.advance(header.kind, message_bytes)?;
        Ok(Some((header.kind, message_bytes)))
    }

    /// The whole length of a message that may be as long as its header says.
    fn measured(&self, header: Header) -> Result<usize, WireError> {
        let Header { kind, length } = header;
        let least = if kind == AUTHENTICATION { 4 + AUTHENTICATION_CODE_BYTES } else { 4 };
        let impossible = || WireError::ImpossibleLength { kind: char::from(kind), length };
        let bytes = usize::try_from(length).map_err(|_| impossible())?;
        if bytes < least {
            return Err(impossible());
        }
        let is_login = !self.is_open();
        let limit_bytes = if is_login { LOGIN_MESSAGE_BYTES } else { limit_bytes(kind) };
        if bytes > limit_bytes {
            return Err(WireError::TooLong {
                kind: char::from(kind),
                bytes: bytes as u64,
                limit_bytes,
                is_login,
            });
        }
        Ok(bytes + 1)
    }

    fn advance(&mut self, kind: u8, message_bytes: usize) -> Result<(), WireError> {
        let Stage::Login { bytes, .. } = &mut self.stage else { return Ok(()) };
        *bytes += message_bytes;
        if *bytes > LOGIN_BYTES {
            return Err(WireError::EndlessLogin { limit_bytes: LOGIN_BYTES });
        }
        if kind == READY_FOR_QUERY {
            self.stage = Stage::Open;
        }
        Ok(())
    }

    /// Decides on what the server asks for, before the driver answers with a password.
    fn check_authentication(&mut self, code: u32) -> Result<(), WireError> {
        let Stage::Login { was_asked, .. } = &mut self.stage else { return Ok(()) };
        let (wanted, method) = match code {
            0 if *was_asked => return Ok(()),
            0 => ("lets us in without any authentication", AuthMethod::None),
            3 => ("asks for the password in clear text", AuthMethod::Password),
            5 => ("asks for an MD5 hash of the password", AuthMethod::Md5),
            10 => ("asks for SASL authentication", AuthMethod::ScramSha256),
            // The rest of such an exchange, whose order the driver checks.
            SASL_CONTINUE | 12 => return Ok(()),
            2 => return Err(WireError::AuthUnsupported { wanted: "asks for Kerberos V5 authentication" }),
            6 => return Err(WireError::AuthUnsupported { wanted: "asks for SCM credentials" }),
            7 | 8 => return Err(WireError::AuthUnsupported { wanted: "asks for GSSAPI authentication" }),
            9 => return Err(WireError::AuthUnsupported { wanted: "asks for SSPI authentication" }),
            _ => return Err(WireError::AuthUnsupported { wanted: "asks for an unknown authentication" }),
        };
        if !self.require_auth.allows(method) {
            return Err(WireError::AuthNotAllowed { required: self.require_auth.to_string(), wanted });
        }
        *was_asked = code != 0;
        Ok(())
    }
}

/// Refuses a server's first message of SCRAM (RFC 5802, `server-first-message`) that asks for too much work. One that
/// is none the driver refuses.
fn check_iterations(message: &[u8]) -> Result<(), WireError> {
    let counts = message.split(|byte| *byte == b',').filter_map(|attribute| attribute.strip_prefix(b"i="));
    let counts = counts.filter_map(|count| std::str::from_utf8(count).ok()?.parse().ok());
    match counts.max() {
        Some(iterations) if iterations > MOST_SCRAM_ITERATIONS => {
            Err(WireError::TooManyIterations { iterations })
        }
        _ => Ok(()),
    }
}

/// The most that a message of this type has after the login.
fn limit_bytes(kind: u8) -> usize {
    match kind {
        COPY_DATA | b'D' => ROW_MESSAGE_BYTES,
        b'E' | b'N' => WORDS_MESSAGE_BYTES,
        b'T' | b't' => DESCRIPTION_MESSAGE_BYTES,
        _ => SHORT_MESSAGE_BYTES,
    }
}

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    /// As sent; it counts itself and what comes after it.
    length: i32,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let [kind, a, b, c, d, ..] = *bytes else { return None };
    Some(Header { kind, length: i32::from_be_bytes([a, b, c, d]) })
}

/// How many bytes of rows follow the header at the front, if it is that of a message of rows as long as one can be.
pub(crate) fn row_bytes(bytes: &[u8]) -> Option<usize> {
    let header = header(bytes).filter(|header| header.kind == COPY_DATA)?;
    let length = usize::try_from(header.length).ok()?;
    (4..=ROW_MESSAGE_BYTES).contains(&length).then(|| length - 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(kind: u8, length: i32) -> Vec<u8> {
        [&[kind], &length.to_be_bytes()[..]].concat()
    }

    fn request(code: u32) -> Vec<u8> {
        [header_of(b'R', 8), code.to_be_bytes().to_vec()].concat()
    }

    fn guard(required: &str) -> Guard {
        Guard::new(false, RequireAuth::parse(required).unwrap())
    }

    fn open() -> Guard {
        let mut guard = guard("");
        assert_eq!(guard.admit(&request(0)), Ok(Some((b'R', 9))));
        assert_eq!(guard.admit(&[header_of(b'Z', 5), b"I".to_vec()].concat()), Ok(Some((b'Z', 6))));
        assert!(guard.is_open());
        guard
    }

    #[test]
    fn a_length_is_checked_by_type_and_stage() {
        const MIB: i32 = 1 << 20;
        for kind in 0..=u8::MAX {
            for length in [-1, 0, 3, i32::MIN] {
                let refused = Err(WireError::ImpossibleLength { kind: char::from(kind), length });
                assert_eq!(guard("").admit(&header_of(kind, length)), refused);
                assert_eq!(open().admit(&header_of(kind, length)), refused);
            }
            for length in [65_537, MIB, i32::MAX] {
                let error = guard("").admit(&header_of(kind, length)).unwrap_err();
                assert!(matches!(error, WireError::TooLong { is_login: true, .. }), "{error}");
            }
            let longest = match kind {
                b'd' | b'D' => 1024 * MIB,
                b'E' | b'N' => 64 * MIB,
                b'T' | b't' => MIB,
                _ => 65_536,
            };
            assert_eq!(open().admit(&header_of(kind, longest)), Ok(Some((kind, longest as usize + 1))));
            let error = open().admit(&header_of(kind, longest + 1)).unwrap_err();
            assert!(matches!(error, WireError::TooLong { is_login: false, .. }), "{error}");
        }
    }

    #[test]
    fn a_login_ends_somewhere() {
        let mut guard = guard("");
        let notice = header_of(b'N', 60_000);
        let refused = (0..100).find_map(|_| guard.admit(&notice).err());
        assert_eq!(refused, Some(WireError::EndlessLogin { limit_bytes: LOGIN_BYTES }));
        let mut open = open();
        assert!((0..100).all(|_| open.admit(&notice).is_ok()));
    }

    #[test]
    fn half_a_header_decides_nothing() {
        let whole = request(3);
        for bytes in 0..whole.len() {
            assert_eq!(guard("scram-sha-256").admit(&whole[..bytes]), Ok(None));
        }
        assert!(guard("scram-sha-256").admit(&whole).is_err());
    }

    /// What `require_auth` lets through: AuthenticationOk at once, clear text, MD5, SASL.
    #[track_caller]
    fn check(required: &str, expected: [bool; 4]) {
        let allowed = [0, 3, 5, 10].map(|code| guard(required).admit(&request(code)).is_ok());
        assert_eq!(allowed, expected, "{required:?}");
    }

    #[test]
    fn require_auth_means_what_it_means_to_libpq() {
        check("", [true, true, true, true]);
        check("password", [false, true, false, false]);
        check("md5,password", [false, true, true, false]);
        check("scram-sha-256", [false, false, false, true]);
        check("none", [true, false, false, false]);
        check("none,scram-sha-256", [true, false, false, true]);
        check("!password", [true, false, true, true]);
        check("!password,!md5", [true, false, false, true]);
        check("!none", [false, true, true, true]);
        check("!none,!scram-sha-256", [false, true, true, false]);
        check("gss", [false, false, false, false]);
        check("oauth,sspi", [false, false, false, false]);
        check("!gss", [true, true, true, true]);
    }

    #[test]
    fn what_completes_an_exchange_is_no_login_without_one() {
        let mut guard = guard("scram-sha-256");
        for code in [10, 11, 12, 0] {
            assert!(guard.admit(&request(code)).is_ok(), "{code}");
        }
    }

    #[test]
    fn what_is_not_spoken_is_named() {
        for (code, name) in [(2, "Kerberos"), (6, "SCM"), (7, "GSSAPI"), (9, "SSPI"), (77, "unknown")] {
            let error = guard("").admit(&request(code)).unwrap_err();
            assert!(error.is_about_login() && error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_answer_about_tls_is_one_of_two_bytes() {
        for byte in 0..=u8::MAX {
            let mut guard = Guard::new(true, RequireAuth::default());
            let expected = if matches!(byte, b'S' | b'N') { Ok(true) } else { Err(WireError::NoAnswerToTls) };
            assert_eq!(guard.takes_tls_answer(byte), expected);
        }
        assert_eq!(guard("").takes_tls_answer(b'N'), Ok(false));
    }

    #[test]
    fn rows_are_as_long_as_they_can_be() {
        assert_eq!(row_bytes(&header_of(b'd', 9)), Some(5));
        for bytes in [header_of(b'd', 3), header_of(b'd', -1), header_of(b'd', i32::MAX), header_of(b'D', 9)]
        {
            assert_eq!(row_bytes(&bytes), None);
        }
    }
}
