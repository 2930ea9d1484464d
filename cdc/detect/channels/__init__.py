"""One file per channel of evidence; all have the interface of `cdc.ports.evidence.Evidence`."""
