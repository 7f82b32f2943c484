//! What a person does with a browser: follows redirects, keeps cookies, sends forms.

use std::collections::BTreeMap;

use portcullis_testbed::{Client, Reply};

/// A browser that knows one site.
pub(super) struct Browser {
    client: Client,
    origin: String,
    /// By path and name.
    cookies: BTreeMap<(String, String), String>,
}

/// A form that was shown.
struct Form {
    action: String,
    hidden: Vec<(String, String)>,
}

/// More redirects than a login has.
const REDIRECTS: usize = 10;

impl Browser {
    pub(super) fn new(client: Client, origin: &str) -> Self {
        Self { client, origin: origin.to_owned(), cookies: BTreeMap::new() }
    }

    /// Opens a page.
    pub(super) async fn open(&mut self, url: &str) -> Reply {
        self.follow(url.to_owned(), None).await
    }

    /// Fills in the form of a page and sends it.
    pub(super) async fn submit(&mut self, page: &Reply, fields: &[(&str, &str)]) -> Reply {
        let form = form(&page.text());
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form.hidden).extend_pairs(fields);
        self.follow(form.action, Some(body.finish())).await
    }

    async fn follow(&mut self, mut url: String, mut body: Option<String>) -> Reply {
        for _ in 0..REDIRECTS {
            let path = url.strip_prefix(&self.origin).unwrap_or(&url).to_owned();
            assert!(path.starts_with('/'), "somewhere else: {url}");
            let reply = self.send(&path, body.take()).await;
            self.keep_cookies(&reply, &path);
            if !reply.status.is_redirection() {
                return reply;
            }
            reply.header("location").unwrap().clone_into(&mut url);
        }
        panic!("redirected without end, at last to {url}");
    }

    async fn send(&self, path: &str, body: Option<String>) -> Reply {
        let call = match body {
            Some(body) => {
                let call = self.client.post(path).body(body);
                call.header("content-type", "application/x-www-form-urlencoded")
            }
            None => self.client.get(path),
        };
        let cookies = self.cookies.iter().filter(|((scope, _), _)| within(path, scope));
        let cookies: Vec<String> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        call.header("cookie", cookies.join("; ")).send().await.unwrap()
    }

    /// An empty value deletes a cookie, as both servers here do it.
    fn keep_cookies(&mut self, reply: &Reply, path: &str) {
        for cookie in reply.headers.get_all("set-cookie") {
            let mut parts = cookie.to_str().unwrap().split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let scope =
                parts.find_map(|part| part.strip_prefix("path=").or_else(|| part.strip_prefix("Path=")));
            let key = (scope.unwrap_or(path).to_owned(), name.to_owned());
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}

/// Whether a cookie of that path is sent to this one.
fn within(path: &str, scope: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let rest = path.strip_prefix(scope.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The only form of a page.
#[track_caller]
fn form(page: &str) -> Form {
    let (_, form) = page.split_once("<form").unwrap_or_else(|| panic!("no form in {page}"));
    let (form, _) = form.split_once("</form>").unwrap();
    let hidden = form.split("<input").skip(1).filter(|input| input.contains("type=\"hidden\""));
    let hidden = hidden.map(|input| (attribute(input, "name"), attribute(input, "value"))).collect();
    Form { action: attribute(form, "action"), hidden }
}

fn attribute(tag: &str, name: &str) -> String {
    let (_, value) = tag.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {tag}"));
    value.split('"').next().unwrap().to_owned()
}
