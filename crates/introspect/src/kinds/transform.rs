//! Reads: A transform of a type for a language.

use crate::Error;
use crate::reader::Reader;

pub(crate) async fn read(_reader: &mut Reader<'_>) -> Result<(), Error> {
    Ok(())
}
