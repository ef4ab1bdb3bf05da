"""What the open_clip encoder is built of: finding weights, building models, running both towers."""
