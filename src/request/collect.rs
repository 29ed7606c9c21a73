//! The only place that reads a whole body into memory.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::{BoxError, Refused};

/// Reads a body of at most `max_bytes`; trailers are dropped. A body that announces more is refused unread.
pub async fn collect<B>(body: B, max_bytes: usize) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let too_large = || Refused::TooLarge { limit: max_bytes };
    let mut body = pin!(body);
    if usize::try_from(body.size_hint().lower()).map_or(true, |least| least > max_bytes) {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| Refused::Read(error.into()))?.into_data() else { continue };
        let so_far = first.len().saturating_add(gathered.len());
        if data.len() > max_bytes.saturating_sub(so_far) {
            return Err(too_large());
        }
        if so_far == 0 {
            first = data;
        } else {
            if gathered.is_empty() {
                gathered.extend_from_slice(&std::mem::take(&mut first));
            }
            gathered.extend_from_slice(&data);
        }
    }
    Ok(if gathered.is_empty() { first } else { gathered.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn pieces(pieces: &'static [&'static str]) -> impl Body<Data = Bytes, Error = Infallible> {
        StreamBody::new(stream::iter(
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))),
        ))
    }

    #[tokio::test]
    async fn joins_the_pieces_of_a_body() {
        assert_eq!(collect(pieces(&["ab", "", "cd", "e"]), 5).await.unwrap(), "abcde");
        assert_eq!(collect(pieces(&[]), 5).await.unwrap(), "");
    }

    #[tokio::test]
    async fn refuses_a_body_that_grows_beyond_the_bound() {
        let refused = collect(pieces(&["abc", "def"]), 5).await.unwrap_err();
        assert!(matches!(refused, Refused::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn refuses_a_body_that_announces_more_than_the_bound() {
        let refused = collect(Full::new(Bytes::from_static(b"abcdef")), 5).await.unwrap_err();
        assert!(matches!(refused, Refused::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn reports_a_connection_that_fails() {
        let broken = StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from_static(b"ab"))),
            Err(std::io::Error::other("gone")),
        ]));
        assert!(matches!(collect(broken, 5).await.unwrap_err(), Refused::Read(_)));
    }
}
