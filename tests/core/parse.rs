use oasis_data::codec::parse::{Builder, StringText, parse};
use serde_json::{Map, Number, Value};

/// Makes what `serde_json` makes, to compare with.
struct Values;

impl Builder for Values {
    type Value = Value;

    fn null(&mut self) -> Value {
        Value::Null
    }

    fn boolean(&mut self, value: bool) -> Value {
        Value::Bool(value)
    }

    fn integer(&mut self, number: i64) -> Option<Value> {
        Some(number.into())
    }

    fn large_integer(&mut self, digits: &str) -> Option<Value> {
        digits.parse::<Number>().ok().map(Value::Number)
    }

    fn float(&mut self, number: f64) -> Option<Value> {
        Number::from_f64(number).map(Value::Number)
    }

    fn string(&mut self, text: StringText<'_>) -> Option<Value> {
        let text = match text {
            StringText::Ascii(text) => {
                assert!(text.is_ascii());
                str::from_utf8(text).ok()?
            }
            StringText::Utf8(text) => text,
        };
        Some(Value::from(text))
    }

    fn key(&mut self, text: &[u8], length: usize, is_ascii: bool) -> Option<Value> {
        let key = &text[..length];
        self.string(if is_ascii {
            StringText::Ascii(key)
        } else {
            StringText::Utf8(str::from_utf8(key).ok()?)
        })
    }

    fn list(&mut self, values: &mut Vec<Value>, from: usize) -> Option<Value> {
        Some(values.drain(from..).collect())
    }

    fn dict(&mut self) -> Option<Value> {
        Some(Map::new().into())
    }

    fn insert(&mut self, dict: &mut Value, key: Value, value: Value) -> Option<()> {
        dict.as_object_mut()?.insert(key.as_str()?.to_owned(), value);
        Some(())
    }
}

fn parsed(text: impl AsRef<[u8]>) -> Option<Value> {
    parse(text.as_ref(), &mut Values)
}

#[test]
fn reads_what_serde_json_reads_and_nothing_else() {
    const TEXT: &str = "{\"a\": [1, -2.5e+3, 0.30000000000000004, \"\\u00e9\\ud83d\\ude00\\n\", true],\n  \
                        \"\": {\"ß\": null, \"more than twenty-four bytes\": [[], {}, \"\", 123456]}}";
    let expected: Value = serde_json::from_str(TEXT).unwrap();
    assert_eq!(parsed(TEXT), Some(expected));
    // Every beginning, and every text with one byte changed.
    for (index, _) in TEXT.bytes().enumerate() {
        assert_eq!(parsed(&TEXT.as_bytes()[..index]), None, "{index}");
        for byte in
            [b'"', b'\\', b'{', b']', b',', b':', b' ', b'0', b'.', b'e', 0, 0x1F, 0x80, 0xFF]
        {
            let mut changed = TEXT.as_bytes().to_vec();
            changed[index] = byte;
            let expected = serde_json::from_slice::<Value>(&changed).ok();
            assert_eq!(parsed(&changed), expected, "{}", String::from_utf8_lossy(&changed));
        }
    }
}

#[test]
fn finds_blanks_and_the_ends_of_strings_wherever_they_are() {
    for length in 0..70 {
        let blanks = " ".repeat(length);
        for text in
            [format!("\n{blanks}1"), format!("{blanks}\n1\t{blanks}"), format!("\n{blanks}\r\n1")]
        {
            assert_eq!(parsed(&text), Some(1.into()), "{text:?}");
        }
        let letters = "x".repeat(length);
        for (escaped, plain) in
            [("", ""), ("\\\"", "\""), ("é", "é"), ("é\\n", "é\n"), ("\\\\", "\\")]
        {
            for rest in ["", "y", "yyyyyyyyy"] {
                let text =
                    format!("{{\"{letters}{escaped}{rest}\": \"{letters}{escaped}{rest}\"}}");
                let whole = format!("{letters}{plain}{rest}");
                assert_eq!(parsed(&text), Some(serde_json::json!({ &whole: whole })));
            }
        }
        for control in 0..0x20_u8 {
            let text = [b"\"", letters.as_bytes(), &[control], b"yyyyyyyyy\""].concat();
            assert_eq!(parsed(&text), None);
        }
    }
}

#[test]
fn gives_up_on_depth_without_overflowing_the_stack() {
    assert!(parsed("[".repeat(200) + &"]".repeat(200)).is_some());
    assert!(parsed("[".repeat(201) + &"]".repeat(201)).is_none());
    assert!(parsed("{\"a\":".repeat(1_000_000)).is_none());
}
