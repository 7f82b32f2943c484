//! What `kubectl apply --kustomize` would apply: resources, strategic merges by the keys of Kubernetes' lists, and JSON
//! patches, as far as these overlays use them. Kustomize itself can't be had here.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::docs::ROOT;
use crate::support::documents;

/// By which member the items of a list are the same.
const MERGE_KEYS: [(&str, &str); 5] = [
    ("containers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "containerPort"),
];

/// The resources of a directory with a kustomization.
pub(super) fn render(dir: &Path) -> Vec<Value> {
    let read = |path: &Path| documents(&std::fs::read_to_string(path).unwrap());
    let kustomization = read(&dir.join("kustomization.yaml")).remove(0);
    let list = |name: &str| kustomization[name].as_array().cloned().unwrap_or_default();
    let mut resources: Vec<Value> = Vec::new();
    for named in list("resources") {
        let path = dir.join(named.as_str().unwrap());
        resources.extend(if path.is_dir() { render(&path) } else { read(&path) });
    }
    for generator in list("configMapGenerator") {
        let files = generator["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
        let data: serde_json::Map<String, Value> = files
            .map(|file| (file.to_owned(), std::fs::read_to_string(dir.join(file)).unwrap().into()))
            .collect();
        resources.push(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": generator["name"]}, "data": data}));
    }
    for patch in list("patches") {
        match (patch["path"].as_str(), patch["patch"].as_str()) {
            (Some(path), _) => {
                for change in read(&dir.join(path)) {
                    let change_of = |resource: &&mut Value| {
                        resource["kind"] == change["kind"]
                            && resource["metadata"]["name"] == change["metadata"]["name"]
                    };
                    let target = resources.iter_mut().find(change_of);
                    merge(target.unwrap_or_else(|| panic!("{path} changes nothing")), &change, "");
                }
            }
            (None, Some(text)) => {
                let of_target = |resource: &&mut Value| {
                    resource["kind"] == patch["target"]["kind"]
                        && resource["metadata"]["name"] == patch["target"]["name"]
                };
                let target = resources.iter_mut().find(of_target).unwrap();
                for step in documents(text).remove(0).as_array().unwrap() {
                    apply(target, step);
                }
            }
            _ => panic!("what is {patch}?"),
        }
    }
    if let Some(namespace) = kustomization["namespace"].as_str() {
        for resource in resources.iter_mut().filter(|resource| resource["kind"] != "Namespace") {
            resource["metadata"]["namespace"] = namespace.into();
        }
    }
    for image in list("images") {
        let (name, to) = (
            &image["name"],
            format!("{}:{}", image["newName"].as_str().unwrap(), image["newTag"].as_str().unwrap()),
        );
        for resource in &mut resources {
            for container in resource
                .pointer_mut("/spec/template/spec/containers")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .filter(|container| container["image"] == *name)
            {
                container["image"] = to.clone().into();
            }
        }
    }
    resources
}

/// All directories with a kustomization.
pub(super) fn all() -> Vec<PathBuf> {
    let root = Path::new(ROOT).join("deploy/kubernetes");
    let overlays = root.join("overlays").read_dir().unwrap().map(|entry| entry.unwrap().path());
    overlays.chain([root.join("base")]).collect()
}

fn merge(target: &mut Value, change: &Value, name: &str) {
    let key = MERGE_KEYS.iter().find(|(list, _)| *list == name).map(|(_, key)| *key);
    match (target, change, key) {
        (Value::Object(target), Value::Object(change), _) => {
            for (name, value) in change {
                merge(target.entry(name.clone()).or_insert(Value::Null), value, name);
            }
        }
        (Value::Array(target), Value::Array(change), Some(key)) => {
            for item in change {
                let place = target.iter().position(|other| other[key] == item[key]);
                match (place, item["$patch"] == "delete") {
                    (Some(place), true) => drop(target.remove(place)),
                    (Some(place), false) => merge(&mut target[place], item, ""),
                    (None, true) => panic!("{name}: there is no {item} to be deleted"),
                    (None, false) => target.push(item.clone()),
                }
            }
        }
        (target, change, _) => *target = change.clone(),
    }
}

/// A step of a JSON patch (RFC 6902); the path must be there.
fn apply(target: &mut Value, step: &Value) {
    let path = step["path"].as_str().unwrap();
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = target.pointer_mut(parent).and_then(Value::as_object_mut);
    let parent = parent.unwrap_or_else(|| panic!("there is no {path}"));
    assert!(parent.contains_key(name), "there is no {path}");
    match step["op"].as_str().unwrap() {
        "remove" => drop(parent.remove(name)),
        "replace" => parent[name] = step["value"].clone(),
        other => panic!("what is {other}?"),
    }
}
