"""Speed, memory and agreement with other libraries."""
