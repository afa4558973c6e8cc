//! Reads: A procedural language.

use crate::Error;
use crate::reader::Reader;

pub(crate) async fn read(_reader: &mut Reader<'_>) -> Result<(), Error> {
    Ok(())
}
