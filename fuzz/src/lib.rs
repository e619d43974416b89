//! Compares the codec's parser with `serde_json`.

use indexmap::IndexMap;
use oasis_data::codec::parse::{Builder, StringText, parse};
use serde_json::Value;

/// The parser may stop at greater depth than this.
const MAX_DEPTH: usize = 200;
/// The parser may stop at integers of more digits than this.
const MAX_DIGITS: usize = 600;

/// The key under which `serde_json`'s `arbitrary_precision` passes numbers on. In a
/// document, `serde_json` would take it for a number.
const NUMBER: &[u8] = b"$serde_json::private::Number";

/// Reads a text with both parsers.
///
/// # Panics
///
/// If their results differ.
pub fn compare(text: &[u8]) {
    if text.windows(NUMBER.len()).any(|part| part == NUMBER) {
        return;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    let theirs = serde::Deserialize::deserialize(&mut deserializer)
        .and_then(|value: Value| deserializer.end().map(|()| value));
    match (parse(text, &mut Nodes), theirs) {
        (Some(mine), Ok(theirs)) => assert_same(&mine, &theirs),
        (Some(_), Err(error)) => panic!("the parser reads what is not JSON: {error}"),
        (None, Ok(theirs)) => assert!(may_stop_at(&theirs, 0), "the parser stops at {theirs}"),
        (None, Err(_)) => {}
    }
}

/// A value, as the parser hands it to its builder.
enum Node {
    Null,
    Boolean(bool),
    Integer(i64),
    LargeInteger(String),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Dict(IndexMap<String, Node>),
}

/// Makes nodes, and asserts what the builder of Python's objects relies on.
struct Nodes;

impl Builder for Nodes {
    type Value = Node;

    fn null(&mut self) -> Node {
        Node::Null
    }

    fn boolean(&mut self, value: bool) -> Node {
        Node::Boolean(value)
    }

    fn integer(&mut self, number: i64) -> Option<Node> {
        Some(Node::Integer(number))
    }

    fn large_integer(&mut self, digits: &str) -> Option<Node> {
        Some(Node::LargeInteger(digits.to_owned()))
    }

    fn float(&mut self, number: f64) -> Option<Node> {
        Some(Node::Float(number))
    }

    fn string(&mut self, text: StringText<'_>) -> Option<Node> {
        let text = match text {
            StringText::Ascii(text) => {
                assert!(text.is_ascii());
                str::from_utf8(text).ok()?
            }
            StringText::Utf8(text) => text,
        };
        Some(Node::String(text.to_owned()))
    }

    fn key(&mut self, text: &[u8], length: usize, is_ascii: bool) -> Option<Node> {
        let key = &text[..length];
        assert!(!key.contains(&0), "the cache of keys fills them up with zeros");
        self.string(if is_ascii {
            StringText::Ascii(key)
        } else {
            StringText::Utf8(str::from_utf8(key).ok()?)
        })
    }

    fn list(&mut self, values: &mut Vec<Node>, from: usize) -> Option<Node> {
        Some(Node::List(values.drain(from..).collect()))
    }

    fn dict(&mut self) -> Option<Node> {
        Some(Node::Dict(IndexMap::new()))
    }

    fn insert(&mut self, dict: &mut Node, key: Node, value: Node) -> Option<()> {
        let (Node::Dict(dict), Node::String(key)) = (dict, key) else {
            panic!("the key is not a string, or the dictionary not a dictionary")
        };
        dict.insert(key, value);
        Some(())
    }
}

fn assert_same(mine: &Node, theirs: &Value) {
    match (mine, theirs) {
        (Node::Null, Value::Null) => {}
        (Node::Boolean(mine), Value::Bool(theirs)) => assert_eq!(mine, theirs),
        (Node::String(mine), Value::String(theirs)) => assert_eq!(mine, theirs),
        (Node::Integer(mine), Value::Number(theirs)) => {
            assert_eq!(Ok(*mine), theirs.as_str().parse());
        }
        (Node::LargeInteger(mine), Value::Number(theirs)) => assert_eq!(mine, theirs.as_str()),
        (Node::Float(mine), Value::Number(theirs)) => {
            assert!(is_float(theirs.as_str()), "the parser makes {theirs} a float");
            let nearest = theirs.as_str().parse::<f64>();
            assert_eq!(Ok(mine.to_bits()), nearest.map(f64::to_bits), "{theirs}");
        }
        (Node::List(mine), Value::Array(theirs)) => {
            assert_eq!(mine.len(), theirs.len());
            mine.iter().zip(theirs).for_each(|(mine, theirs)| assert_same(mine, theirs));
        }
        (Node::Dict(mine), Value::Object(theirs)) => {
            assert!(mine.keys().eq(theirs.keys()), "the keys or their order differ");
            mine.values().zip(theirs.values()).for_each(|(mine, theirs)| assert_same(mine, theirs));
        }
        (_, theirs) => panic!("the parser makes another kind of value than {theirs}"),
    }
}

/// Whether a value has something that the parser may leave to `json`.
fn may_stop_at(value: &Value, depth: usize) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.as_str();
            !is_float(text) && text.trim_start_matches('-').len() > MAX_DIGITS
        }
        Value::Array(_) | Value::Object(_) if depth == MAX_DEPTH => true,
        Value::Array(values) => values.iter().any(|value| may_stop_at(value, depth + 1)),
        Value::Object(values) => values.values().any(|value| may_stop_at(value, depth + 1)),
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}
