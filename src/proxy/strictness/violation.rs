//! What a request can do wrong before it is a request.

/// Why a request's framing was refused. Never tells what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A line does not end in CRLF, or an empty line stands where none may.
    #[error("line ending other than crlf")]
    LineEnding,
    /// The method is no token, or too long.
    #[error("malformed method")]
    Method,
    /// The request target has a byte that may not be in it, a fragment, or a form that does not fit the method.
    #[error("malformed request target")]
    Target,
    /// The request target is too long.
    #[error("request target too long")]
    TargetLength,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("unsupported http version")]
    Version,
    /// A field without a name, without a colon, or with a byte in its name that may not be there.
    #[error("malformed field name")]
    FieldName,
    /// A control character in a field's value, or a value folded over two lines.
    #[error("malformed field value")]
    FieldValue,
    /// More or longer fields than are read.
    #[error("request head too long")]
    HeadLength,
    /// No `Host`, two, one that is no host and port, or another than the target names.
    #[error("malformed or contradictory host")]
    Host,
    /// `Content-Length` that is not one plain number.
    #[error("malformed content-length")]
    ContentLength,
    /// `Transfer-Encoding` that is not exactly `chunked`, or in HTTP/1.0.
    #[error("unsupported transfer-encoding")]
    TransferEncoding,
    /// Both of them.
    #[error("both content-length and transfer-encoding")]
    TwoLengths,
    /// `Expect` that is not `100-continue`.
    #[error("unsupported expectation")]
    Expectation,
    /// A host that the TLS handshake did not name.
    #[error("host other than the one named in the tls handshake")]
    Misdirected,
    /// `CONNECT` or `TRACE`, which would open a tunnel or echo what was sent.
    #[error("method is not for a gateway")]
    Tunnel,
}
