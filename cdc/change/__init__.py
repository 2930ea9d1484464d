"""What a change is: kinds, names, ids, origin, bitmaps, order, diffs, and the text of a value. Pure."""
