//! The parser held against `serde_json`.

use indexmap::IndexMap;
use oasis_data::codec::parse::{Builder, Characters, parse};
use serde_json::Value;

/// What the parser may give up on: deeper than this, or more digits than this.
const MAX_DEPTH: usize = 200;
const MAX_DIGITS: usize = 600;

/// What `arbitrary_precision` calls a number that is underway: as a name in a
/// text, it would be taken for one.
const NUMBER: &[u8] = b"$serde_json::private::Number";

/// Reads a text both ways.
///
/// # Panics
///
/// If they differ.
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
        (Some(_), Err(error)) => panic!("read, and is no JSON: {error}"),
        (None, Ok(theirs)) => assert!(is_left_out(&theirs, 0), "not read: {theirs}"),
        (None, Err(_)) => {}
    }
}

/// A value as the parser reports it.
enum Node {
    Null,
    Truth(bool),
    Integer(i64),
    LargeInteger(String),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Dict(IndexMap<String, Node>),
}

/// Makes nodes, and asserts what the makers of Python's objects rely on.
struct Nodes;

impl Builder for Nodes {
    type Value = Node;

    fn null(&mut self) -> Node {
        Node::Null
    }

    fn truth(&mut self, truth: bool) -> Node {
        Node::Truth(truth)
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

    fn string(&mut self, characters: Characters<'_>) -> Option<Node> {
        let text = match characters {
            Characters::Ascii(text) => {
                assert!(text.is_ascii());
                text
            }
            Characters::Encoded(text) => text,
        };
        str::from_utf8(text).ok().map(|text| Node::Text(text.to_owned()))
    }

    fn name(&mut self, text: &[u8], length: usize, ascii: bool) -> Option<Node> {
        let name = &text[..length];
        assert!(!name.contains(&0), "the names are kept with zeros behind them");
        self.string(if ascii { Characters::Ascii(name) } else { Characters::Encoded(name) })
    }

    fn list(&mut self, values: &mut Vec<Node>, from: usize) -> Option<Node> {
        Some(Node::List(values.drain(from..).collect()))
    }

    fn dict(&mut self) -> Option<Node> {
        Some(Node::Dict(IndexMap::new()))
    }

    fn insert(&mut self, dict: &mut Node, name: Node, value: Node) -> Option<()> {
        let (Node::Dict(dict), Node::Text(name)) = (dict, name) else {
            panic!("a name that is no text, or its dictionary none")
        };
        dict.insert(name, value);
        Some(())
    }
}

fn assert_same(mine: &Node, theirs: &Value) {
    match (mine, theirs) {
        (Node::Null, Value::Null) => {}
        (Node::Truth(mine), Value::Bool(theirs)) => assert_eq!(mine, theirs),
        (Node::Text(mine), Value::String(theirs)) => assert_eq!(mine, theirs),
        (Node::Integer(mine), Value::Number(theirs)) => {
            assert_eq!(Ok(*mine), theirs.as_str().parse());
        }
        (Node::LargeInteger(mine), Value::Number(theirs)) => assert_eq!(mine, theirs.as_str()),
        (Node::Float(mine), Value::Number(theirs)) => {
            assert!(is_float(theirs.as_str()), "{theirs} became a float");
            let nearest = theirs.as_str().parse::<f64>();
            assert_eq!(Ok(mine.to_bits()), nearest.map(f64::to_bits), "{theirs}");
        }
        (Node::List(mine), Value::Array(theirs)) => {
            assert_eq!(mine.len(), theirs.len());
            mine.iter().zip(theirs).for_each(|(mine, theirs)| assert_same(mine, theirs));
        }
        (Node::Dict(mine), Value::Object(theirs)) => {
            assert!(mine.keys().eq(theirs.keys()), "others, or in another order");
            mine.values().zip(theirs.values()).for_each(|(mine, theirs)| assert_same(mine, theirs));
        }
        (_, theirs) => panic!("another kind of value than {theirs}"),
    }
}

/// Whether there is something that the parser leaves to `json`.
fn is_left_out(value: &Value, depth: usize) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.as_str();
            !is_float(text) && text.trim_start_matches('-').len() > MAX_DIGITS
        }
        Value::Array(_) | Value::Object(_) if depth == MAX_DEPTH => true,
        Value::Array(values) => values.iter().any(|value| is_left_out(value, depth + 1)),
        Value::Object(values) => values.values().any(|value| is_left_out(value, depth + 1)),
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    text.contains(['.', 'e', 'E'])
}
