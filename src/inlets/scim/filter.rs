//! Filters (RFC 7644 section 3.4.2.2) over what is kept of users.

use super::error::{ErrorKind, ScimError};
use super::path::{Attribute, without_schema};
use crate::state::{Email, User};

/// Longest filter in bytes.
const MAX_BYTES: usize = 2_048;
/// Most comparisons of one.
const MAX_TERMS: usize = 32;
/// Deepest nesting of parentheses, brackets and `not`.
const MAX_DEPTH: usize = 8;

/// What users, or their e-mail addresses, are chosen by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Filter {
    /// A value is compared.
    Compare(Attribute, Operator, Literal),
    /// There is a value.
    Present(Attribute),
    /// Both hold.
    And(Box<Self>, Box<Self>),
    /// One of them holds.
    Or(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// It holds for one of the e-mail addresses.
    AnyEmail(Box<Self>),
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
}

/// What a value is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`: nothing is there.
    Null,
}

impl Filter {
    /// Reads a whole filter over users.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or asks for what is not kept.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let mut reader = Reader { rest: text, terms: 0, of_email: false };
        let filter = reader.either(0)?;
        reader.spaces();
        if reader.rest.is_empty() { Ok(filter) } else { Err(reader.unexpected("its end")) }
    }

    /// Reads what stands in brackets after `emails[`, up to the bracket; what follows that is left over.
    pub(super) fn parse_in_brackets(text: &str) -> Result<(Self, &str), ScimError> {
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let mut reader = Reader { rest: text, terms: 0, of_email: true };
        let filter = reader.either(0)?;
        reader.expect("]")?;
        Ok((filter, reader.rest))
    }

    /// Whether a user is chosen.
    #[must_use]
    pub fn matches(&self, user: &User) -> bool {
        self.holds(&|attribute| values_of(user, attribute), &|inner| {
            user.emails.iter().any(|email| inner.matches_email(email))
        })
    }

    /// Whether an e-mail address is chosen.
    #[must_use]
    pub fn matches_email(&self, email: &Email) -> bool {
        self.holds(&|attribute| values_of_email(email, attribute), &|_| false)
    }

    fn holds(&self, values: &dyn Fn(Attribute) -> Vec<Literal>, any_email: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::Compare(attribute, operator, literal) => {
                operator.holds(&values(*attribute), literal, attribute.is_exact())
            }
            Self::Present(attribute) => !values(*attribute).is_empty(),
            Self::And(one, other) => one.holds(values, any_email) && other.holds(values, any_email),
            Self::Or(one, other) => one.holds(values, any_email) || other.holds(values, any_email),
            Self::Not(inner) => !inner.holds(values, any_email),
            Self::AnyEmail(inner) => any_email(inner),
        }
    }
}

impl Operator {
    fn holds(self, values: &[Literal], literal: &Literal, exact: bool) -> bool {
        let texts = |compare: fn(&str, &str) -> bool| {
            let Literal::Text(wanted) = literal else { return false };
            values.iter().any(|value| match value {
                Literal::Text(text) if exact => compare(text, wanted),
                Literal::Text(text) => compare(&text.to_lowercase(), &wanted.to_lowercase()),
                _ => false,
            })
        };
        match self {
            Self::NotEqual => !Self::Equal.holds(values, literal, exact),
            Self::Equal => match literal {
                Literal::Null => values.is_empty(),
                Literal::Bool(_) => values.contains(literal),
                Literal::Text(_) => texts(|text, wanted| text == wanted),
            },
            Self::Contains => texts(|text, wanted| text.contains(wanted)),
            Self::StartsWith => texts(|text, wanted| text.starts_with(wanted)),
            Self::EndsWith => texts(|text, wanted| text.ends_with(wanted)),
        }
    }
}

fn values_of(user: &User, attribute: Attribute) -> Vec<Literal> {
    let text = |text: &String| Some(Literal::Text(text.clone())).filter(|_| !text.is_empty());
    let one = match attribute {
        Attribute::Id => text(&user.id),
        Attribute::UserName => text(&user.user_name),
        Attribute::ExternalId => text(&user.external_id),
        Attribute::Active => Some(Literal::Bool(user.active)),
        Attribute::EmailValue | Attribute::EmailType | Attribute::EmailPrimary => {
            return user.emails.iter().flat_map(|email| values_of_email(email, attribute)).collect();
        }
    };
    one.into_iter().collect()
}

fn values_of_email(email: &Email, attribute: Attribute) -> Vec<Literal> {
    let text = |text: &String| Some(Literal::Text(text.clone())).filter(|_| !text.is_empty());
    let one = match attribute {
        Attribute::EmailValue => text(&email.value),
        Attribute::EmailType => text(&email.kind),
        Attribute::EmailPrimary => Some(Literal::Bool(email.primary)),
        _ => None,
    };
    one.into_iter().collect()
}

fn wrong(detail: impl std::fmt::Display) -> ScimError {
    ErrorKind::InvalidFilter.error(format!("the filter cannot be used: {detail}"))
}

/// Reads from the front.
struct Reader<'a> {
    rest: &'a str,
    terms: usize,
    /// Within `emails[…]`.
    of_email: bool,
}

impl<'a> Reader<'a> {
    fn either(&mut self, depth: usize) -> Result<Filter, ScimError> {
        let mut filter = self.both(depth)?;
        while self.keyword("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both(depth)?));
        }
        Ok(filter)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, ScimError> {
        let mut filter = self.one(depth)?;
        while self.keyword("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one(depth)?));
        }
        Ok(filter)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, ScimError> {
        if depth > MAX_DEPTH {
            return Err(wrong(format!("it is nested more than {MAX_DEPTH} times")));
        }
        let negated = self.keyword("not");
        self.spaces();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let inner = self.either(depth + 1)?;
            self.expect(")")?;
            return Ok(if negated { Filter::Not(Box::new(inner)) } else { inner });
        }
        if negated { Err(self.unexpected("`(` after `not`")) } else { self.term(depth) }
    }

    fn term(&mut self, depth: usize) -> Result<Filter, ScimError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(wrong(format!("it has more than {MAX_TERMS} comparisons")));
        }
        let name = without_schema(self.word());
        if let Some(rest) = self.rest.strip_prefix('[') {
            if self.of_email || !name.eq_ignore_ascii_case("emails") {
                return Err(wrong("only `emails` has `[…]`"));
            }
            self.rest = rest;
            self.of_email = true;
            let inner = self.either(depth + 1)?;
            self.of_email = false;
            self.expect("]")?;
            return Ok(Filter::AnyEmail(Box::new(inner)));
        }
        let attribute = Attribute::named(name, self.of_email)
            .ok_or_else(|| wrong(format!("`{}` is not kept", shown(name))))?;
        self.spaces();
        let operator = self.word();
        let known = [
            ("eq", Operator::Equal),
            ("ne", Operator::NotEqual),
            ("co", Operator::Contains),
            ("sw", Operator::StartsWith),
            ("ew", Operator::EndsWith),
        ];
        if operator.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(attribute));
        }
        let found = known.iter().find(|(name, _)| operator.eq_ignore_ascii_case(name));
        let (_, found) = found
            .ok_or_else(|| wrong(format!("`{}` is none of eq, ne, co, sw, ew and pr", shown(operator))))?;
        self.spaces();
        Ok(Filter::Compare(attribute, *found, self.literal()?))
    }

    fn literal(&mut self) -> Result<Literal, ScimError> {
        if !self.rest.starts_with('"') {
            return match self.word() {
                "true" => Ok(Literal::Bool(true)),
                "false" => Ok(Literal::Bool(false)),
                "null" => Ok(Literal::Null),
                other => Err(wrong(format!("`{}` is no value: a text stands in quotes", shown(other)))),
            };
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text =
            values.next().and_then(Result::ok).ok_or_else(|| wrong("a text in quotes does not end"))?;
        self.rest = self.rest.get(values.byte_offset()..).unwrap_or_default();
        Ok(Literal::Text(text))
    }

    /// Whether the next word is this one; then it is taken.
    fn keyword(&mut self, word: &str) -> bool {
        let before = self.rest;
        self.spaces();
        if self.word().eq_ignore_ascii_case(word) {
            return true;
        }
        self.rest = before;
        false
    }

    /// What stands before a space, a bracket or a quote; may be empty.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find([' ', '(', ')', '[', ']', '"']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn expect(&mut self, mark: &str) -> Result<(), ScimError> {
        self.spaces();
        self.rest = self.rest.strip_prefix(mark).ok_or_else(|| self.unexpected(&format!("`{mark}`")))?;
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> ScimError {
        wrong(format!("`{}` stands where {expected} is expected", shown(self.rest)))
    }
}

fn shown(text: &str) -> String {
    crate::control::printable(text, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        let email =
            |value: &str, kind: &str, primary| Email { value: value.into(), kind: kind.into(), primary };
        User {
            issuer: "i".into(),
            id: "7".into(),
            user_name: "Alice".into(),
            external_id: "Ext".into(),
            emails: vec![email("alice@work", "work", true), email("alice@home", "home", false)],
            active: true,
        }
    }

    #[test]
    fn filters_choose_users() {
        let check = |text: &str, expect: bool| {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.matches(&user()), expect, "{text}");
        };
        check(r#"userName eq "alice""#, true);
        check(r#"USERNAME EQ "ALICE""#, true);
        check(r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "alice""#, true);
        check(r#"externalId eq "ext""#, false);
        check(r#"externalId eq "Ext" and active eq true"#, true);
        check(r#"emails eq "ALICE@home""#, true);
        check(r#"emails.value co "@WORK""#, true);
        check(r#"emails[type eq "home" and value sw "alice"]"#, true);
        check(r#"emails[type eq "home" and primary eq true]"#, false);
        check(r#"userName eq "bob" or id eq "7" and active eq false"#, false);
        check(r#"(userName eq "bob" or id eq "7") and not (active eq false)"#, true);
        check(r#"userName ne "bob""#, true);
        check("externalId pr", true);
        check("externalId eq null", false);
        check(r#"userName eq "al\u0069ce""#, true);
        check(r#"userName ew "ce""#, true);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}id pr{}", "(".repeat(9), ")".repeat(9));
        let long = format!("id eq \"{}\"", "a".repeat(MAX_BYTES));
        let many = vec!["id pr"; 33].join(" or ");
        for wrong in [
            "",
            " ",
            "id",
            "id eq",
            "id eq 7",
            "id eq \"7",
            "id xx \"7\"",
            "id gt \"7\"",
            "displayName pr",
            "id pr id",
            "id pr and",
            "not id pr",
            "(id pr",
            "id pr)",
            "emails[type eq \"x\"",
            "name[x pr]",
            "type pr",
            "emails[emails[type pr]]",
            "emails[id pr]",
            &deep,
            &long,
            &many,
        ] {
            let error = Filter::parse(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidFilter, "{wrong}");
        }
    }
}
