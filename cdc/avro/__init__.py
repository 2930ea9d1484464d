"""Bytes and columns: Salesforce's schemas, splitting, framing, and batches decoded to Arrow."""
