"""What transformers' apply_chat_template makes of conversations, under templates in the manner of the usual ones.

    python tests/oracle/chat.py        # writes tests/fixtures/chat.json: templates, conversations, what each renders as (or that it is refused)
"""
import gzip, json, os
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = f"{HERE}/../fixtures"
with gzip.open(f"{FIXTURES}/tokenizers/bpe-gpt2.json.gz") as f: own = json.load(f)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(own["tokenizer"])), bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token=None)

TEMPLATES = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "qwen2.5": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions.\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}""",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "thinking": "{%- set ns = namespace(last=messages|length - 1, thinks=false) %}{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if m.role == 'user' and ns.last == messages|length - 1 %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{%- for m in messages %}{%- set content = m.content %}{%- if m.role == 'assistant' and '</think>' in content %}{%- set ns.thinks = true %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}{{- '[' ~ m.role ~ ':' ~ loop.index ~ '/' ~ ns.last ~ '] ' ~ content ~ '\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '[assistant] ' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}",
    "parts": "{% for m in messages %}{{ m.role | upper }}: {% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% elif c.type == 'image' %}<image>{% endif %}{% endfor %}{% endif %}{{ '\n' if not loop.last else '' }}{% endfor %}{% if documents %}{% for d in documents %}[{{ d.title }}: {{ d.text }}]{% endfor %}{% endif %}",
}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather of a place; it's \"now\" & <here>", "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer", "default": 1}}, "required": ["place"]}}}
CHATS = {
    "one": [{"role": "user", "content": "Who are you?"}],
    "system": [{"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "  Hi! "}],
    "turns": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello, <b>Zoë</b> 😀"}, {"role": "user", "content": "It's 'fine' & good"}],
    "thought": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "<think>easy</think>\n\n4"}, {"role": "user", "content": "Sure?"}],
    "answer": [{"role": "user", "content": "Say yes"}, {"role": "assistant", "content": "Yes, of "}],
    "tools": [{"role": "user", "content": "Weather in Rome?"}, {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"place": "Rome", "days": 2}}}]}, {"role": "tool", "name": "weather", "content": "{\"sun\": 1.5}"}],
    "parts": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
}
OPTIONS = [{}, {"add_generation_prompt": True}, {"continue_final_message": True}, {"tools": [WEATHER], "add_generation_prompt": True}, {"enable_thinking": False, "add_generation_prompt": True}, {"documents": [{"title": "A", "text": "b"}]}]

cases = []
for t, template in TEMPLATES.items():
    for c, chat in CHATS.items():
        for o, options in enumerate(OPTIONS):
            if o == 2 and c != "answer" or o == 3 and t != "qwen2.5" or o == 4 and t != "thinking" or o == 5 and t != "parts": continue
            if c == "parts" and t != "parts" or c == "tools" and t != "qwen2.5": continue  # a list or nothing as text, which templates leave to Python's repr
            case = {"template": t, "chat": c, "options": o}
            try: case["text"] = tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False, **options)
            except Exception as e: case["refused"] = str(e)[:60]
            else: case["ids"] = tokenizer.apply_chat_template(chat, chat_template=template, return_dict=False, **options) if c == "one" else None
            cases.append({k: v for k, v in case.items() if v is not None})
with open(f"{FIXTURES}/chat.json", "w") as f: json.dump({"templates": TEMPLATES, "chats": CHATS, "options": OPTIONS, "cases": cases}, f, ensure_ascii=False)
print(len(cases), sum("refused" in c for c in cases))
