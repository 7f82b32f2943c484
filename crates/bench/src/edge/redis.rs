//! A Redis of its own, and one connection to it that many requests share.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portcullis_testbed::Process;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

/// Questions that may wait.
const QUEUE: usize = 1_024;
const START: Duration = Duration::from_secs(10);
/// There is no event for a socket that appears.
const POLL: Duration = Duration::from_millis(5);

type Question = (Vec<u8>, oneshot::Sender<String>);

/// Killed when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Redis {
    questions: mpsc::Sender<Question>,
    _process: Arc<Process>,
}

impl Redis {
    /// Starts one that keeps nothing on disk, with these sessions in it.
    pub(crate) async fn start(dir: &Path, sessions: impl Iterator<Item = String>) -> Result<Self> {
        let socket = dir.join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        command.current_dir(dir);
        let mut process = Process::spawn("Redis", command)?;
        let connected = async {
            loop {
                if let Ok(stream) = UnixStream::connect(&socket).await {
                    return Ok(stream);
                }
                sleep(POLL).await;
            }
        };
        let stream = process.while_alive(START, connected).await?;
        let (questions, asked) = mpsc::channel(QUEUE);
        tokio::spawn(converse(stream, asked));
        let redis = Self { questions, _process: Arc::new(process) };
        for session in sessions {
            let answer = redis.ask(&["SET", &key(&session), ""]).await?;
            ensure!(answer == "+OK", "Redis answers {answer} to SET");
        }
        Ok(redis)
    }

    /// Whether a session is in it.
    pub(crate) async fn has(&self, session: String) -> Result<bool> {
        let answer = self.ask(&["EXISTS", &key(&session)]).await?;
        ensure!(answer == ":0" || answer == ":1", "Redis answers {answer} to EXISTS");
        Ok(answer == ":1")
    }

    async fn ask(&self, words: &[&str]) -> Result<String> {
        let (done, answer) = oneshot::channel();
        self.questions.send((command(words), done)).await.context("Redis has gone")?;
        answer.await.context("Redis has gone")
    }
}

fn key(session: &str) -> String {
    format!("revoked:{session}")
}

/// In the protocol's form for words of any content (RESP).
fn command(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    command.into_bytes()
}

/// Sends what is asked, as many at a time as wait, and hands the answers out in order. Ends with either side.
async fn converse(stream: UnixStream, mut asked: mpsc::Receiver<Question>) {
    let (from, mut to) = stream.into_split();
    let mut answers = BufReader::new(from).lines();
    let mut waiting = VecDeque::new();
    let mut questions = Vec::new();
    loop {
        tokio::select! {
            count = asked.recv_many(&mut questions, QUEUE) => {
                if count == 0 {
                    return;
                }
                let mut bytes = Vec::new();
                for (command, done) in questions.drain(..) {
                    bytes.extend(command);
                    waiting.push_back(done);
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            answer = answers.next_line() => {
                let (Ok(Some(answer)), Some(done)) = (answer, waiting.pop_front()) else { return };
                // Whoever asked may have gone.
                let _ = done.send(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_how_long_its_words_are() {
        assert_eq!(command(&["EXISTS", "a b\r\n"]), b"*2\r\n$6\r\nEXISTS\r\n$5\r\na b\r\n\r\n");
    }
}
