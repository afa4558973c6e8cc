//! Rows of CSV and JSON lines, compressed or not.

use std::io::Read;
use std::path::Path;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use dbhaul_catalog::quote_identifier;
use dbhaul_progress::Task;
use dbhaul_rows::COPY_IN_OPTIONS;
use lz4_flex::frame::FrameDecoder;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc;

use super::Import;
use super::json_lines::Lines;
use crate::PipelineError;
use crate::command::export::Compression;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The longest line of names.
const HEADER_BYTES: usize = 1 << 20;
/// What the lines of a COPY are here: what is sent has a line for each line of the file.
const COUNTED: &str = "whose lines are counted below as in the file";

/// A file, decompressed.
enum Reader {
    Stream(Box<dyn AsyncRead + Send + Unpin>),
    /// From a thread that decompresses.
    Thread(mpsc::Receiver<std::io::Result<Bytes>>),
}

impl Reader {
    async fn open(file: &Path, compression: Option<Compression>) -> std::io::Result<Self> {
        macro_rules! members {
            ($decoder:ident, $input:ident) => {{
                let mut decoder = $decoder::new($input);
                // files may be put one behind the other, as gzip and pigz do
                decoder.multiple_members(true);
                Box::new(decoder)
            }};
        }
        let file = tokio::fs::File::open(file).await?;
        if compression == Some(Compression::Lz4) {
            let (sender, receiver) = mpsc::channel(1);
            let input = FrameDecoder::new(Ends::new(file.into_std().await));
            drop(tokio::task::spawn_blocking(move || decompress(input, &sender)));
            return Ok(Reader::Thread(receiver));
        }
        let input = BufReader::with_capacity(PIECE_BYTES, file);
        Ok(Reader::Stream(match compression {
            None | Some(Compression::Lz4) => Box::new(input),
            Some(Compression::Gzip) => members!(GzipDecoder, input),
            Some(Compression::Zstd) => members!(ZstdDecoder, input),
            Some(Compression::Xz) => members!(XzDecoder, input),
            Some(Compression::Bzip2) => members!(BzDecoder, input),
        }))
    }

    /// The next bytes, none at the end.
    async fn next(&mut self) -> std::io::Result<Bytes> {
        match self {
            Reader::Stream(input) => {
                let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
                while piece.len() < PIECE_BYTES && input.read_buf(&mut piece).await? > 0 {}
                Ok(piece.freeze())
            }
            Reader::Thread(pieces) => {
                let ended = || Err(std::io::Error::other("the thread that decompresses ended abnormally"));
                pieces.recv().await.unwrap_or_else(ended)
            }
        }
    }
}

/// Sends what can be read, and an empty piece at the end; nobody takes more once the import has failed.
fn decompress(mut input: FrameDecoder<Ends<impl Read>>, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = match input.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece) {
            Ok(0) if !input.get_ref().is_whole() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let is_last = !matches!(read, Ok(1..));
        if sender.blocking_send(read.map(|_| piece.into())).is_err() || is_last {
            return;
        }
    }
}

/// Remembers how an LZ4 file begins and ends: the decoder takes one that was cut off between two blocks for a whole one.
struct Ends<R> {
    file: R,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl<R> Ends<R> {
    /// Magic number and flags of a frame, <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.
    const FIRST_BYTES: usize = 5;
    const LAST_BYTES: usize = 8;

    fn new(file: R) -> Self {
        Ends { file, first: Vec::new(), last: Vec::new() }
    }

    /// Whether an end mark, four zeros, is at the end, with the checksum behind it that the flags speak of.
    fn is_whole(&self) -> bool {
        const CONTENT_CHECKSUM: u8 = 1 << 2;
        let Some(flags) = self.first.get(Self::FIRST_BYTES - 1) else { return false };
        let checksum_bytes = if flags & CONTENT_CHECKSUM == 0 { 0 } else { 4 };
        let end = self.last.len().checked_sub(checksum_bytes).map(|end| &self.last[..end]);
        end.is_some_and(|end| end.ends_with(&[0; 4]))
    }
}

impl<R: Read> Read for Ends<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        let read = &buffer[..count];
        let missing = Self::FIRST_BYTES - self.first.len();
        self.first.extend_from_slice(&read[..count.min(missing)]);
        self.last.extend_from_slice(&read[count.saturating_sub(Self::LAST_BYTES)..]);
        self.last.drain(..self.last.len().saturating_sub(Self::LAST_BYTES));
        Ok(count)
    }
}

/// CSV goes to the server as it is, the line of names included, which the server leaves out.
pub(super) async fn copy_csv(
    import: &mut Import<'_>,
    compression: Option<Compression>,
    task: &Task,
) -> Result<(u64, Vec<String>), PipelineError> {
    let (unreadable, refused) = (import.unreadable(), import.refused(COUNTED));
    let mut reader = Reader::open(import.file, compression).await.map_err(&unreadable)?;
    let mut piece = reader.next().await.map_err(&unreadable)?;
    let names = csv_names(&piece[..piece.len().min(HEADER_BYTES)])
        .ok_or_else(|| import.misfit("the file does not begin with a line of column names".to_owned()))?;
    let columns = import.matched(&names)?;
    if let Some((name, _)) = names.iter().zip(&columns).find(|(_, column)| column.is_none()) {
        let problem = "is computed by the server, and the lines of a CSV file are passed on as they are: export without it";
        return Err(import.misfit(format!("column {} {problem}", quote_identifier(name))));
    }
    let columns: Vec<_> = columns.iter().flatten().collect();
    let sql = import.copy_sql(&columns, "(FORMAT csv, HEADER true)");
    let mut copy = import.session.copy_in(&sql).await.map_err(&refused)?;
    while !piece.is_empty() {
        let copied_bytes = piece.len() as u64;
        copy.send(piece).await.map_err(&refused)?;
        task.advance(0, copied_bytes);
        piece = reader.next().await.map_err(&unreadable)?;
    }
    let row_count = copy.finish().await.map_err(&refused)?;
    task.advance(row_count, 0);
    Ok((row_count, names))
}

/// The fields of the first line of CSV; `None` if it has no end here.
fn csv_names(text: &[u8]) -> Option<Vec<String>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut names, mut name, mut is_quoted) = (Vec::new(), Vec::new(), false);
    let mut bytes = text.iter().copied().peekable();
    loop {
        match bytes.next()? {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => name.extend(bytes.next()),
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => names.push(String::from_utf8(std::mem::take(&mut name)).ok()?),
            b'\r' if !is_quoted && bytes.peek() == Some(&b'\n') => {}
            b'\n' if !is_quoted => {
                names.push(String::from_utf8(name).ok()?);
                return Some(names);
            }
            byte => name.push(byte),
        }
    }
}

pub(super) async fn copy_json_lines(
    import: &mut Import<'_>,
    compression: Option<Compression>,
    task: &Task,
) -> Result<(u64, Vec<String>), PipelineError> {
    let (unreadable, refused) = (import.unreadable(), import.refused(COUNTED));
    let mut reader = Reader::open(import.file, compression).await.map_err(&unreadable)?;
    let mut lines = Lines::default();
    let mut piece = reader.next().await.map_err(&unreadable)?;
    // the first line says which columns there are
    while !piece.is_empty() && !lines.has_line(&piece) {
        lines.keep(&piece);
        piece = reader.next().await.map_err(&unreadable)?;
    }
    lines.keep(&piece);
    let wrong = |file: &Path, (line, problem): (u64, String)| PipelineError::Request {
        problem: format!("{}, line {line}: {problem}", file.display()),
        help: "every line has to be one JSON object, with the keys of the first line or fewer".to_owned(),
    };
    let names = lines.names().map_err(|problem| wrong(import.file, (1, problem)))?;
    let columns = import.matched(&names)?;
    let taken: Vec<_> = columns.iter().flatten().collect();
    let sql = import.copy_sql(&taken, COPY_IN_OPTIONS);
    lines.begin(&names, &columns);
    let mut copy = import.session.copy_in(&sql).await.map_err(&refused)?;
    loop {
        let is_end = piece.is_empty();
        let mut rows = Vec::new();
        let seen_rows = lines.rows();
        lines.push_rows(is_end, &mut rows).map_err(|found| wrong(import.file, found))?;
        let copied_bytes = rows.len() as u64;
        copy.send(rows.into()).await.map_err(&refused)?;
        task.advance(lines.rows() - seen_rows, copied_bytes);
        if is_end {
            break;
        }
        piece = reader.next().await.map_err(&unreadable)?;
        lines.keep(&piece);
    }
    let row_count = copy.finish().await.map_err(&refused)?;
    if row_count != lines.rows() {
        let problem = format!("{} rows were sent, and the server took {row_count}", lines.rows());
        return Err(import.misfit(problem));
    }
    Ok((row_count, taken.iter().map(|column| column.name.clone()).collect()))
}

#[cfg(test)]
mod tests {
    use super::csv_names;

    #[test]
    fn names_are_the_first_line_of_csv() {
        let names = |text: &str| csv_names(text.as_bytes()).map(|names| names.join("|"));
        assert_eq!(names("a,b\n1,2\n").as_deref(), Some("a|b"));
        assert_eq!(names("\u{feff}a,\"b \"\"x\"\",\ny\"\r\n").as_deref(), Some("a|b \"x\",\ny"));
        assert_eq!(names("a,b"), None);
    }
}
