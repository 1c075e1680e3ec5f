"""What every part of ATRA may lean on: errors, settings, records, edits, redaction, logs."""
