"""What `cargo xtask schemathesis` adds to schemathesis: media types whose bodies are texts."""

import schemathesis

schemathesis.serializer.alias(["application/secevent+jwt", "application/x-ndjson"], "text/plain")
