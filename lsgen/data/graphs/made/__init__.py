"""Networks that are made up, with what is known of them."""
