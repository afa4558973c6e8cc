//! Reads: An encoding conversion.

use crate::Error;
use crate::reader::Reader;

pub(crate) async fn read(_reader: &mut Reader<'_>) -> Result<(), Error> {
    Ok(())
}
