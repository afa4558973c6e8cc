//! Texts that many parts of a catalog have in common.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A short text that never changes and of which a catalog has very many equal ones: a schema, an
/// owner, the name of a type or of a column.
///
/// Equal texts made one after the other on a thread mostly share their memory, whether they come
/// from a server or out of a backup: of a million columns of type `integer` there are few copies of
/// that word. That is all the difference to a [`String`]; it is stored in the same way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedText(Arc<str>);

/// How many texts a thread remembers.
const REMEMBERED: usize = 4_096;

/// Longer texts are hardly ever equal.
const LONGEST_REMEMBERED_BYTES: usize = 64;

thread_local! {
    /// The last text of each hash, so that memory for what is not needed any more stays bounded.
    static RECENT: RefCell<Vec<Option<SharedText>>> = const { RefCell::new(Vec::new()) };
}

impl SharedText {
    /// The text, in memory shared with an equal one if the thread remembers one.
    pub fn new(text: &str) -> Self {
        if text.len() > LONGEST_REMEMBERED_BYTES {
            return SharedText(Arc::from(text));
        }
        RECENT.with_borrow_mut(|recent| {
            recent.resize(REMEMBERED, None);
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            // The remainder is less than REMEMBERED.
            let slot = &mut recent[(hasher.finish() % REMEMBERED as u64) as usize];
            match slot {
                Some(known) if *known == *text => known.clone(),
                _ => slot.insert(SharedText(Arc::from(text))).clone(),
            }
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SharedText {
    fn default() -> Self {
        SharedText::new("")
    }
}

impl std::ops::Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for SharedText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SharedText {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl From<&str> for SharedText {
    fn from(text: &str) -> Self {
        SharedText::new(text)
    }
}

impl From<&String> for SharedText {
    fn from(text: &String) -> Self {
        SharedText::new(text)
    }
}

impl From<String> for SharedText {
    fn from(text: String) -> Self {
        SharedText::new(&text)
    }
}

impl From<&SharedText> for SharedText {
    fn from(text: &SharedText) -> Self {
        text.clone()
    }
}

impl From<SharedText> for String {
    fn from(text: SharedText) -> Self {
        text.as_str().to_owned()
    }
}

impl From<&SharedText> for String {
    fn from(text: &SharedText) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for SharedText {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SharedText {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for SharedText {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<SharedText> for String {
    fn eq(&self, other: &SharedText) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<SharedText> for str {
    fn eq(&self, other: &SharedText) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<SharedText> for &str {
    fn eq(&self, other: &SharedText) -> bool {
        *self == other.as_str()
    }
}

impl Serialize for SharedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for SharedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SharedText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SharedText, E> {
                Ok(SharedText::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::SharedText;

    fn share(one: &SharedText, two: &SharedText) -> bool {
        std::ptr::eq(one.as_str(), two.as_str())
    }

    #[test]
    fn equal_texts_share_their_memory() {
        let texts: Vec<SharedText> = serde_json::from_str(r#"["integer", "größe\n", "integer"]"#).unwrap();
        assert!(share(&texts[0], &texts[2]));
        assert!(share(&texts[0], &SharedText::from("integer".to_owned())));
        assert_eq!(serde_json::to_string(&texts).unwrap(), r#"["integer","größe\n","integer"]"#);
    }

    #[test]
    fn texts_stay_themselves_when_others_push_them_out() {
        let numbers = || (0..20_000).map(|number| number.to_string());
        let texts: Vec<SharedText> = numbers().map(SharedText::from).collect();
        assert!(texts.iter().zip(numbers()).all(|(text, number)| *text == number));
    }

    #[test]
    fn long_texts_are_not_remembered() {
        let long = "x".repeat(1_000);
        assert!(!share(&SharedText::from(&long), &SharedText::from(&long)));
        assert_eq!(SharedText::from(&long), SharedText::from(&long));
    }
}
