"""What the clinic's hosts are made of: shell scripts that stage them, and the little web application."""
