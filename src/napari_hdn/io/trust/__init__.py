"""What a judgement writes: files, figures, sentences and the report on one page."""
