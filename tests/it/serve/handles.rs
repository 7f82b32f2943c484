use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Serve;

#[tokio::test]
async fn too_few_open_files_for_the_subscribers_are_warned_of() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = Serve::new().over(data.path()).env("PORTCULLIS_EDGE_MAX_SUBSCRIBERS", "2000000000");
    let mut child = serve.command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let warned = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("not limited") || line.contains("edge.max_subscribers is above the limit") {
                return;
            }
        }
        panic!("it has ended");
    };
    tokio::time::timeout(Duration::from_secs(30), warned).await.unwrap();
}
