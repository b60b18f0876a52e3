"""AnswerClip: from a folder of instructional videos and a question to the clip that answers it."""
