//! One XML element with its attributes, each of which has to be asked for or is unknown.

use super::ScenarioError;
use roxmltree::Node;
use std::time::Duration;

/// An element of the scenario file.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) node: Node<'a, 'a>,
    pub(super) file: &'a str,
}

impl<'a> Element<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    pub(super) fn line(&self) -> u32 {
        self.node.document().text_pos_at(self.node.range().start).row
    }

    pub(super) fn children(self) -> impl Iterator<Item = Element<'a>> {
        let elements = self.node.children().filter(Node::is_element);
        elements.map(move |node| Element { node, file: self.file })
    }

    /// All text inside, comments left out.
    pub(super) fn text(&self) -> String {
        let texts = self.node.children().filter(Node::is_text);
        texts.filter_map(|node| node.text()).collect()
    }

    pub(super) fn error(&self, sentence: impl Into<String>) -> ScenarioError {
        ScenarioError {
            file: self.file.to_owned(),
            line: self.line(),
            element: self.name().to_owned(),
            sentence: sentence.into(),
        }
    }

    /// Refuses attributes that are none of `known`; names in `foreign` are SIPp's but not ours.
    pub(super) fn only(&self, known: &[&[&str]]) -> Result<(), ScenarioError> {
        for attribute in self.node.attributes() {
            let name = attribute.name();
            if !known.iter().any(|list| list.contains(&name)) {
                let list: Vec<&str> = known.iter().flat_map(|list| list.iter().copied()).collect();
                return Err(self.error(format!(
                    "attribute {name}=\"{}\" is not supported; this element takes {}",
                    attribute.value(),
                    if list.is_empty() {
                        "none".to_owned()
                    } else {
                        list.join(", ")
                    },
                )));
            }
        }
        Ok(())
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.node.attribute(name)
    }

    pub(super) fn needed(&self, name: &str) -> Result<&'a str, ScenarioError> {
        self.attribute(name)
            .ok_or_else(|| self.error(format!("attribute {name}=\"...\" is missing")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ScenarioError> {
        match self.attribute(name) {
            None => Ok(false),
            Some("true" | "yes" | "1") => Ok(true),
            Some("false" | "no" | "0") => Ok(false),
            Some(other) => Err(self.error(format!("{name}=\"{other}\": true or false is expected"))),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ScenarioError> {
        self.attribute(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| self.error(format!("{name}=\"{text}\": a number is expected")))
            })
            .transpose()
    }

    pub(super) fn millis(&self, name: &str) -> Result<Option<Duration>, ScenarioError> {
        Ok(self.number(name)?.map(Duration::from_millis))
    }

    /// A probability, given in percent as SIPp's `lost`, or as a share as its `chance`.
    pub(super) fn share(&self, name: &str, whole: f64) -> Result<Option<f64>, ScenarioError> {
        let Some(number) = self.number::<f64>(name)? else {
            return Ok(None);
        };
        if !(0.0..=whole).contains(&number) {
            return Err(self.error(format!("{name}=\"{number}\": a number from 0 to {whole} is expected")));
        }
        Ok(Some(number / whole))
    }
}
