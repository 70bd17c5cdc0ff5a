//! Handles HTTP/1.0 posts without a length, which nginx sends by default for a `POST` without a body. The
//! HTTP parser refuses them, so they get a length of zero.
//!
//! Only if nothing can be hidden after it: the head is the first on its connection and everything that
//! arrived, and it has neither a length nor a transfer coding.

use tokio::io::ReadBuf;

const LENGTH: &[u8] = b"content-length: 0\r\n";

/// Adds a length to a post without one, if that is what `buffer` contains from `start`: the first bytes of a
/// connection.
pub(super) fn add_missing_length(buffer: &mut ReadBuf<'_>, start: usize) {
    let place = buffer.filled().get(start..).and_then(place_for_length);
    if let Some(place) = place.filter(|_| buffer.remaining() >= LENGTH.len()) {
        buffer.put_slice(LENGTH);
        if let Some(rest) = buffer.filled_mut().get_mut(start + place..) {
            rest.rotate_right(LENGTH.len());
        }
    }
}

/// Returns where to insert a missing length in a head: after its first line.
fn place_for_length(head: &[u8]) -> Option<usize> {
    let lines = head.strip_suffix(b"\r\n\r\n")?;
    let place = head.windows(2).position(|two| two == b"\r\n")? + 2;
    let first = head.get(..place - 2)?;
    if !first.starts_with(b"POST ") || !first.ends_with(b" HTTP/1.0") {
        return None;
    }
    let mut fields =
        lines.split(|byte| *byte == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let says_nothing = fields.all(|field| {
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_plain = !name.is_empty() && !name.iter().any(u8::is_ascii_whitespace);
        is_plain
            && ![&b"content-length"[..], b"transfer-encoding"]
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other))
    });
    says_nothing.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(bytes: &[u8]) -> Vec<u8> {
        let mut room = [0; 256];
        let mut buffer = ReadBuf::new(&mut room);
        buffer.put_slice(b"before");
        buffer.put_slice(bytes);
        add_missing_length(&mut buffer, 6);
        buffer.filled().strip_prefix(b"before").unwrap().to_vec()
    }

    #[test]
    fn a_post_without_a_length_gets_one() {
        for (head, wanted) in [
            ("POST /a HTTP/1.0\r\n\r\n", "POST /a HTTP/1.0\r\ncontent-length: 0\r\n\r\n"),
            (
                "POST /a HTTP/1.0\r\nHost: x\r\nConnection: close\r\n\r\n",
                "POST /a HTTP/1.0\r\ncontent-length: 0\r\nHost: x\r\nConnection: close\r\n\r\n",
            ),
        ] {
            assert_eq!(mended(head.as_bytes()), wanted.as_bytes());
        }
    }

    #[test]
    fn whatever_else_comes_stays_as_it_is() {
        for head in [
            "POST /a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a HTTP/1.0\r\n\r\n",
            "PATCH /a HTTP/1.0\r\n\r\n",
            "POST /a HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
            "POST /a HTTP/1.0\r\nhost: x\r\nCONTENT-LENGTH : 5\r\n\r\n",
            "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.0\r\nx: y\r\n Content-Length: 5\r\n\r\n",
            "POST /a HTTP/1.0\r\nHost: x\r\n\r\nhello",
            "POST /a HTTP/1.0\r\nHost: x\r\n\r\nPOST /b HTTP/1.0\r\n\r\n",
            "POST /a HTTP/1.0\r\nHost: x\r\n",
            "POST /a HTTP/1.0\nHost: x\n\n",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(mended(head.as_bytes()), head.as_bytes(), "{head:?}");
        }
    }

    #[test]
    fn without_room_it_stays_as_it_is() {
        let head = b"POST /a HTTP/1.0\r\n\r\n";
        let mut room = [0; 30];
        let mut buffer = ReadBuf::new(&mut room);
        buffer.put_slice(head);
        add_missing_length(&mut buffer, 0);
        assert_eq!(buffer.filled(), head);
    }
}
